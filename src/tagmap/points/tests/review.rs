//! Review: what fails here is a finding.
use super::*;

#[test]
fn r1_unclosed_parameter() {
    let text = "[param.lane]\ntype = \"int\"\ndefault = 3\n[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\npoll = \"fast\"\n\
        [[alarm]]\nname = \"x\"\nwhen = \"a == {lane\"\nseverity = \"low\"\n";
    let made = map(text, &[]);
    println!("{:?}", made.map(|_| ()));
}

#[test]
fn r2_scale_chain() {
    let tag = |n: &str, at: u16, more: &str| format!("[[tag]]\nname = \"{n}\"\narea = \"holding\"\nat = {at}\ntype = \"u16\"\npoll = \"fast\"\n{more}\n");
    let chain = tag("a", 0, "scale = { tag = \"b\" }") + &tag("b", 1, "scale = { tag = \"c\" }") + &tag("c", 2, "");
    let other = tag("c", 2, "") + &tag("b", 1, "scale = { tag = \"c\" }") + &tag("a", 0, "scale = { tag = \"b\" }");
    assert!(map(&other, &[]).is_err());
    if map(&chain, &[]).is_ok() {
        let mut b = Bench::new(&chain);
        b.hold(0, &[5, 2, 10]);
        b.poll_after(20);
        println!("a = {}", b.value("a"));
        b.hold(0, &[5, 2, 100]);
        b.poll_after(20);
        println!("a = {} b = {}", b.value("a"), b.value("b"));
        panic!("a chain of scales is accepted");
    }
}

#[test]
fn r3_wider_than_a_request() {
    for (kind, max) in [("type = \"bytes\"\nwords = 120", 100), ("type = \"string\"\nwords = 120", 100), ("type = \"u64\"\norder = \"ABCDEFGH\"", 2)] {
        let text = format!("[defaults]\nmax_words = {max}\n[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\npoll = \"fast\"\n{kind}\n");
        match map(&text, &[]) {
            Err(faults) => println!("{kind}: {faults:?}"),
            Ok(_) => {
                let mut b = Bench::new(&text);
                b.poll_after(20);
                println!("{kind}: accepted, reads {:?}, value {}", b.points.polls()[0].reads, b.value("a"));
            }
        }
    }
}

#[test]
fn r4_deadband_overflow() {
    let text = "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"f32\"\norder = \"ABCD\"\npoll = \"fast\"\nreport = { change = 1 }\n";
    let mut b = Bench::new(text);
    let put = |b: &mut Bench, x: f32| { let n = x.to_bits(); b.hold(0, &[(n >> 16) as u16, n as u16]); };
    put(&mut b, 7e28);
    println!("{:?}", b.poll_after(20));
    put(&mut b, -7e28);
    for _ in 0..3 { println!("{:?} {:?}", b.poll_after(20), b.refused); }
    assert!(b.refused.is_empty());
}

#[test]
fn r5_small_counter_wraps() {
    let text = "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\npoll = \"fast\"\ncounter = { wraps_at = 10, reset = \"detect\" }\n\
      [[event]]\nname = \"n.c\"\non = { count = \"a\" }\n";
    let mut b = Bench::new(text);
    b.hold(0, &[9]);
    b.poll_after(20);
    b.hold(0, &[0]);
    let told = b.poll_after(20);
    println!("{told:?}");
    assert_eq!(told.len(), 1);
}

#[test]
fn r6_pulse_lint_of_second_event() {
    let text = "[[tag]]\nname = \"a\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\npoll = \"fast\"\ndebounce = { on = \"50ms\", off = \"50ms\" }\n\
      [[tag]]\nname = \"b\"\narea = \"discrete\"\nat = 1\ntype = \"bool\"\npoll = \"fast\"\n\
      [[event]]\nname = \"n.c\"\non = { rising = \"a\" }\n[[event]]\nname = \"n.c\"\non = { rising = \"b\" }\n";
    let m = map(text, &[]).unwrap();
    let w: Vec<String> = m.warnings.iter().map(ToString::to_string).collect();
    println!("{w:?}");
    assert_eq!(w.len(), 1, "b is not debounced");
}

#[test]
fn r7_on_delay_without_a_second_read() {
    let text = "[[tag]]\nname = \"f\"\narea = \"holding\"\nat = 100\ntype = \"u16\"\npoll = \"fast\"\n\
      [[tag]]\nname = \"s\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\npoll = \"slow\"\n\
      [[alarm]]\nname = \"x\"\nwhen = \"s\"\non_delay = \"100ms\"\nseverity = \"low\"\n";
    let mut b = Bench::new(text);
    b.set(Area::Discrete, 0, &[1]);
    let s = b.look(1, 20);
    println!("{}", b.commit(s).len());
    b.set(Area::Discrete, 0, &[0]); // gone 20 ms later, never read
    let told = b.run(200);
    println!("{told:?}");
    assert!(told.is_empty(), "raised though it was seen once");
}

#[test]
fn r8_memory_of_undone_debounce() {
    // The outbox is full when a debounced bit turns; restart with the memory of what was committed before.
    let text = "[[tag]]\nname = \"a\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\npoll = \"fast\"\ndebounce = { on = \"50ms\", off = \"50ms\" }\n\
      [[event]]\nname = \"n.c\"\non = { rising = \"a\" }\n";
    let mut b = Bench::new(text);
    b.run(100);
    b.set(Area::Discrete, 0, &[1]);
    let mut n = 0;
    for _ in 0..10 { let s = b.look(0, 20); if s.is_empty() { b.points.committed(); } else { n += 1; b.points.undo(); } }
    println!("undone {n}");
    let t = b.run(40);
    println!("{t:?}");
    assert_eq!(t.len(), 1);
}

#[test]
fn r9_undo_after_two_polls_of_one_group() {
    let text = "[[tag]]\nname = \"a\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\npoll = \"fast\"\n\
      [[tag]]\nname = \"b\"\narea = \"discrete\"\nat = 100\ntype = \"bool\"\npoll = \"slow\"\n\
      [[event]]\nname = \"n.a\"\non = { rising = \"a\" }\n[[event]]\nname = \"n.b\"\non = { rising = \"b\" }\n";
    let mut b = Bench::new(text);
    for poll in [0, 1] { let s = b.look(poll, 20); b.commit(s); }
    b.set(Area::Discrete, 0, &[1]);
    // As source/modbus/tags.rs:observe does when both polls have one period: both, then one commit, which is full.
    let told = [b.look(0, 20).len(), b.look(1, 0).len()];
    b.points.undo();
    b.points.undo();
    println!("{told:?}");
    assert_eq!(b.poll_after(20), ["n.a"], "told again once there is room");
}

#[test]
fn r10_hex_parameter() {
    let text = "[param.base]\ntype = \"int\"\ndefault = 0x10\n[[tag]]\nname = \"a\"\narea = \"holding\"\nat = \"{base}\"\ntype = \"u16\"\npoll = \"fast\"\n";
    match map(text, &[]) {
        Ok(m) => assert_eq!(m.points.unwrap().polls()[0].reads[0].at, 16),
        Err(f) => panic!("{f:?}"),
    }
}

#[test]
fn r11_ring_of_all_registers() {
    let text = "[[fifo]]\nname = \"f\"\nstyle = \"ring\"\npoll = \"fast\"\nhead = { at = 5, type = \"u16\" }\nack = { at = 6, type = \"u16\", write = \"fc6\" }\nepoch = { at = 7, type = \"u16\" }\n\
      slots = { at = 0, count = 4096, words = 16 }\n[fifo.field]\nseq = { word = 0, type = \"u16\", must_match = \"slot\" }\nx = { word = 1, type = \"u16\" }\n[fifo.emit]\nevent = \"n.c\"\nfields = [\"x\"]\n";
    println!("{:?}", map(text, &[]).map(|_| ()));
}

#[test]
fn r12_held_is_told_by_the_other_poll() {
    let text = "[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 65535\ntype = \"u16\"\npoll = \"fast\"\ngroup = \"g\"\n[[tag]]\nname = \"b\"\narea = \"holding\"\nat = 65530\ntype = \"u32\"\norder = \"ABCD\"\npoll = \"fast\"\ngroup = \"g\"\n";
    let mut b = Bench::new(text);
    println!("{:?}", b.points.polls()[0].reads);
    let answers = vec![Some(Got::Words(vec![0, 7, 0, 0, 0, 9]))];
    let now = b.now();
    b.points.observe(0, &answers, now);
    println!("{} {}", b.value("a"), b.value("b"));
}
#[test]
fn r13_change_after_an_upgrade() {
    let text = |scale: &str| format!("[[tag]]\nname = \"a\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\npoll = \"fast\"\n{scale}\n[[event]]\nname = \"n.c\"\non = {{ change = \"a\" }}\n[[event]]\nname = \"n.r\"\non = {{ rising = \"a > 100\" }}\n");
    let mut b = Bench::new(&text(""));
    b.hold(0, &[50]);
    b.poll_after(20);
    b.restart(&text("scale = 0.1"));
    let told = b.poll_after(20);
    assert!(told.is_empty(), "{told:?}: the register has not moved");
}
#[test]
fn r14_group_refused_and_shared() {
    // A tag without group and a group over the same registers; limits.
    for (max, n) in [(2, 3), (3, 3), (125, 125)] {
        let mut text = format!("[defaults]\nmax_words = {max}\n");
        for i in 0..n { text += &format!("[[tag]]\nname = \"t{i}\"\narea = \"holding\"\nat = {}\ntype = \"u16\"\npoll = \"fast\"\n", 65_535 - i); }
        let b = Bench::new(&text);
        println!("{max} {n} {:?}", b.points.polls()[0].reads);
    }
}
#[test]
fn r15_scaled_seq() {
    let tag = |n: &str, at: u16, more: &str| format!("[[tag]]\nname = \"{n}\"\narea = \"holding\"\nat = {at}\ntype = \"u16\"\npoll = \"fast\"\n{more}\n");
    let text = tag("n", 0, "scale = 10") + &tag("boot", 1, "offset = -1") + "[[event]]\nname = \"n.c\"\non = { change = \"n\" }\nseq = \"n\"\nepoch = \"boot\"\n";
    assert!(map(&text, &[]).is_err(), "a number that counts in tens is accepted");
}
