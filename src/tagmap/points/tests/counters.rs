//! Simulated time: nothing is lost or doubled for any phase of the polls, and over restarts at any commit.

use proptest::prelude::*;

use super::*;

fn counter(wraps_at: u64, reset: &str) -> String {
    format!(
        "[[tag]]\nname = \"n\"\npoll = \"fast\"\narea = \"input\"\nat = 0\ntype = \"u16\"\ncounter = {{ wraps_at = {wraps_at}, reset = \"{reset}\" }}\n\
         [[event]]\nname = \"carton.passed\"\non = {{ count = \"n\" }}\n"
    )
}

/// The number of an event's field, if it has one.
fn number(event: &DeviceEvent, field: &str) -> u64 {
    match event.fields.iter().find(|(name, _)| name == field) {
        Some((_, Value::Int(number))) => *number as u64,
        _ => 0,
    }
}

#[test]
fn a_counter_tells_how_many_have_passed() {
    let mut bench = Bench::new(&counter(1_000, "detect"));
    let mut show = |value: u16| {
        bench.set(Area::Input, 0, &[value]);
        bench.poll_after(20)
    };
    assert_eq!(show(990), [""; 0], "nobody knows how many passed before");
    assert_eq!(show(990), [""; 0]);
    assert_eq!(show(993), ["carton.passed count=3 total=993"]);
    assert_eq!(show(4), ["carton.passed count=11 total=4"], "it wrapped");
    assert_eq!(show(2), ["carton.passed count=2 total=2 reset=true"], "it began again");
    assert_eq!(show(0), ["carton.passed count=0 total=0 reset=true"], "a reset is told, whatever it counts");
    assert_eq!(show(0), [""; 0]);
    assert_eq!(show(1), ["carton.passed count=1 total=1"]);
    assert_eq!(show(1_000), [""; 0], "it never shows that");
    assert_eq!(show(2), ["carton.passed count=1 total=2"]);
}

/// One step of a counter's day.
#[derive(Debug, Clone)]
enum Step {
    /// So many pass before the next poll, whose samples are committed.
    Pass(u64),
    /// The same, and the poll brings no answer.
    Miss(u64),
    /// The same, and the outbox is full.
    Full(u64),
    /// The same, and the gateway dies with the samples of that poll committed or not; then it comes back.
    Die(u64, bool),
}

/// A day in which at most an eighth of the range passes between two polls that are answered and committed.
fn days(wraps_at: u64) -> impl Strategy<Value = Vec<Step>> {
    let few = 0..=wraps_at / 80;
    let step = prop_oneof![
        6 => few.clone().prop_map(Step::Pass),
        1 => few.clone().prop_map(Step::Miss),
        1 => few.clone().prop_map(Step::Full),
        1 => (few, any::<bool>()).prop_map(|(n, committed)| Step::Die(n, committed)),
    ];
    proptest::collection::vec(step, 1..200).prop_filter("at most nine polls without a commit", |steps| {
        let idle = |step: &Step| !matches!(step, Step::Pass(_));
        steps.windows(10).all(|ten| !ten.iter().all(idle))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_sum_of_all_counts_is_what_passed(
        wraps_at in prop_oneof![Just(1_000_u64), Just(65_536), Just(10_000), Just(800)],
        start: u16, detect: bool,
        day in days(800),
    ) {
        let text = counter(wraps_at, if detect { "detect" } else { "never" });
        let mut bench = Bench::new(&text);
        let (mut truth, mut counted) = (u64::from(start), 0);
        let show = |bench: &mut Bench, truth: u64| bench.set(Area::Input, 0, &[(truth % wraps_at) as u16]);
        show(&mut bench, truth);
        bench.poll_after(20);
        for step in day {
            let (Step::Pass(n) | Step::Miss(n) | Step::Full(n) | Step::Die(n, _)) = step;
            truth += n;
            show(&mut bench, truth);
            match step {
                Step::Miss(_) => {
                    bench.mono += 20;
                    let now = bench.now();
                    prop_assert_eq!(bench.points.observe(0, &[None], now), []);
                }
                Step::Full(_) => {
                    bench.look(0, 20);
                    bench.points.undo();
                }
                Step::Pass(_) | Step::Die(_, true) => {
                    let samples = bench.look(0, 20);
                    let told = bench.commit(samples);
                    counted += told.iter().map(|(_, event)| number(event, "count")).sum::<u64>();
                    prop_assert!(told.iter().all(|(_, event)| !short(event).contains("reset")));
                }
                Step::Die(_, false) => drop(bench.look(0, 20)),
            }
            if let Step::Die(..) = step {
                bench.restart(&text);
            }
        }
        let samples = bench.look(0, 20);
        counted += bench.commit(samples).iter().map(|(_, event)| number(event, "count")).sum::<u64>();
        prop_assert_eq!(counted, truth - u64::from(start));
    }

    /// Each pulse stays for the debounce time and two polls, each pause too, and both begin with chatter that is shorter
    /// than the debounce time; polls come with any phase and with jitter. The gateway may die after any commit.
    #[test]
    fn each_pulse_is_one_rising_and_one_falling_edge(
        phase in 0_u64..20,
        pulses in proptest::collection::vec((0_u64..60, 0_u64..300, 0_u64..100, 0_u64..300), 1..20),
        jitter in proptest::collection::vec(0_u64..5, 1..50),
        deaths in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        let text = "[[tag]]\nname = \"eye\"\npoll = \"fast\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\n\
                    debounce = { on = \"60ms\", off = \"100ms\" }\n\
                    [[event]]\nname = \"on\"\non = { rising = \"eye\" }\n[[event]]\nname = \"off\"\non = { falling = \"eye\" }\n";
        // Moments at which the contact turns over; it chatters each 3 ms at first.
        let (mut turns, mut at) = (Vec::new(), 200);
        for (chatter_on, on, chatter_off, off) in &pulses {
            for (chatter, stays) in [(chatter_on, 60 + 50 + on), (chatter_off, 100 + 50 + off)] {
                let bounces = chatter / 3 / 2 * 2;
                turns.extend((0..=bounces).map(|i| at + 3 * i));
                at += 3 * bounces + stays;
            }
        }
        let level = |ms: u64| turns.iter().filter(|turn| **turn <= ms).count() % 2 == 1;
        let mut bench = Bench::new(text);
        let (mut told, mut ms, mut deaths) = (Vec::new(), phase, deaths.iter().cycle());
        for late in jitter.iter().cycle() {
            if ms > at + 300 {
                break;
            }
            bench.set(Area::Discrete, 0, &[u16::from(level(ms + late))]);
            let to = ms + late - phase;
            let step = to.saturating_sub(bench.mono);
            let events = bench.poll_after(step);
            // It comes back at once: a contact that turns over and back while nobody looks is not seen.
            let dies = !events.is_empty() && deaths.next() == Some(&true);
            told.extend(events);
            if dies {
                let mono = bench.mono;
                bench.restart(text);
                bench.mono = mono;
            }
            ms += 20;
        }
        let expected: Vec<&str> = pulses.iter().flat_map(|_| ["on", "off"]).collect();
        prop_assert_eq!(told, expected);
    }

    /// Whatever the device shows, and whatever is not answered or not taken: no panic, and the memory reads back.
    #[test]
    fn any_registers_are_values_or_none(
        steps in proptest::collection::vec((proptest::collection::vec(any::<u16>(), 12), any::<bool>(), 0_u8..4), 1..30),
    ) {
        let text = include_str!("everything.toml");
        let fresh = || read_text(text, &[("lane", "7")]).expect("the map has no fault").points.expect("it has points");
        let mut points = fresh();
        let mut mono = 0;
        for (registers, bit, what) in steps {
            mono += 100;
            for poll in 0..points.polls().len() {
                let answer = |read: &Read| match what {
                    0 => None,
                    _ if read.area.is_bits() => Some(Got::Bits(vec![bit; usize::from(read.count)])),
                    _ => Some(Got::Words((0..read.count).map(|i| registers[usize::from(i) % 12]).collect())),
                };
                let answers: Vec<Option<Got>> = points.polls()[poll].reads.iter().map(answer).collect();
                let samples = points.observe(poll, &answers, Now { wall: Millis(0), mono });
                for sample in &samples {
                    prop_assert!(!matches!(&sample.content, Err(why) if why.panicked), "{:?}", sample);
                }
                match what {
                    1 => points.undo(),
                    2 => {
                        points.committed();
                        if let Some(memory) = samples.last().and_then(|sample| sample.memory.clone()) {
                            let states = points.states.clone();
                            points = fresh();
                            points.restore(&memory.bytes);
                            let kept = |states: &[State]| states.iter().map(|s| s.kept.clone()).collect::<Vec<_>>();
                            prop_assert_eq!(kept(&points.states), kept(&states));
                        }
                    }
                    _ => points.committed(),
                }
            }
        }
    }
}

/// A count and the device's restart count beside it.
fn tied(wraps_at: u64, reset: &str) -> String {
    let of = format!("reset = \"{reset}\"");
    counter(wraps_at, reset)
        .replace(&of, &format!("{of}, epoch = \"starts\""))
        .replace("[[event]]", "group = \"g\"\n[[event]]")
        + "[[tag]]\nname = \"starts\"\npoll = \"fast\"\narea = \"input\"\nat = 1\ntype = \"u16\"\ngroup = \"g\"\n"
}

#[test]
fn a_count_that_is_tied_to_the_devices_starts_begins_with_them() {
    let text = tied(1_000, "detect");
    let mut bench = Bench::new(&text);
    let show = |bench: &mut Bench, count: u16, starts: u16| {
        bench.set(Area::Input, 0, &[count, starts]);
        bench.poll_after(20)
    };
    assert_eq!(show(&mut bench, 990, 7), [""; 0]);
    assert_eq!(show(&mut bench, 4, 7), ["carton.passed count=14 total=4"], "it wrapped");
    assert_eq!(show(&mut bench, 990, 7), ["carton.passed count=986 total=990"]);
    assert_eq!(show(&mut bench, 4, 8), ["carton.passed count=4 total=4 reset=true"], "it began again");
    assert_eq!(show(&mut bench, 9, 9), ["carton.passed count=9 total=9 reset=true"], "and counted past the last one");
    assert_eq!(show(&mut bench, 9, 10), ["carton.passed count=9 total=9 reset=true"], "or just to it");
    assert_eq!(show(&mut bench, 0, 11), ["carton.passed count=0 total=0 reset=true"]);
    assert_eq!(show(&mut bench, 0, 12), ["carton.passed count=0 total=0 reset=true"], "each start is told");
    assert_eq!(show(&mut bench, 1, 12), ["carton.passed count=1 total=1"]);
    bench.restart(&text);
    assert_eq!(show(&mut bench, 3, 13), ["carton.passed count=3 total=3 reset=true"], "while the gateway was away");
}

/// The device's restart count lies in another register, or is told for the first time: that is no restart.
#[test]
fn a_map_that_ties_a_count_anew_counts_on() {
    let (untied, before) = (counter(1_000, "detect"), tied(1_000, "detect"));
    let after = before.replace("at = 1", "at = 2").replace("starts", "boots");
    let mut bench = Bench::new(&untied);
    bench.set(Area::Input, 0, &[5, 7, 900]);
    bench.poll_after(20);
    for (text, count) in [(&before, 8), (&after, 12), (&untied, 13)] {
        bench.restart(text);
        bench.set(Area::Input, 0, &[count]);
        let told = bench.poll_after(20);
        assert!(told.len() == 1 && !told[0].contains("reset"), "{told:?}");
    }
}

/// An address that was wrong is corrected: what stands there now is no count of what stood elsewhere.
#[test]
fn a_count_of_another_register_begins_anew() {
    let (untied, tied) = (counter(60_000, "detect"), tied(60_000, "detect"));
    for text in [&untied, &tied] {
        let elsewhere = text.replacen("at = 0", "at = 5", 1);
        assert_ne!(*text, elsewhere);
        let mut bench = Bench::new(text);
        bench.set(Area::Input, 0, &[5, 7, 0, 0, 0, 900]);
        bench.poll_after(20);
        bench.restart(&elsewhere);
        assert_eq!(bench.poll_after(20), [""; 0], "895 that never were");
        bench.set(Area::Input, 5, &[902]);
        assert_eq!(bench.poll_after(20), ["carton.passed count=2 total=902"]);
        bench.restart(&elsewhere);
        bench.set(Area::Input, 5, &[903]);
        assert_eq!(bench.poll_after(20), ["carton.passed count=1 total=903"], "the same map goes on");
    }
    // What was remembered before the register was is of the same one.
    let mut bench = Bench::new(&untied);
    bench.points.restore(b"{\"rules\":{\"event:carton.passed:count:n\":{\"Count\":5}}}");
    bench.set(Area::Input, 0, &[8]);
    assert_eq!(bench.poll_after(20), ["carton.passed count=3 total=8"]);
}

#[test]
fn a_count_waits_for_the_run_that_it_belongs_to() {
    let text =
        tied(1_000, "detect").replace("at = 1\ntype = \"u16\"", "at = 1\ntype = \"u16\"\nvalid = { invalid = [0] }");
    let mut bench = Bench::new(&text);
    for (count, starts, expected) in
        [(990, 7, vec![]), (3, 0, vec![]), (5, 8, vec!["carton.passed count=5 total=5 reset=true"])]
    {
        bench.set(Area::Input, 0, &[count, starts]);
        assert_eq!(bench.poll_after(20), expected, "{count} in run {starts}");
    }
}

#[test]
fn a_count_is_tied_to_a_tag_of_the_same_request() {
    let told =
        |edit: &dyn Fn(String) -> String| map(&edit(tied(1_000, "detect")), &[]).err().unwrap_or_default().join("\n");
    assert_eq!(told(&|text| text), "");
    insta::assert_snapshot!(told(&|text| text.replace("epoch = \"starts\"", "epoch = \"start\"")), @"map.toml:18:56: tag[1].counter.epoch: there is no tag `start` (did you mean `starts`?)");
    insta::assert_snapshot!(told(&|text| text.replace("group = \"g\"\n[[event]]", "[[event]]")), @r#"map.toml:18:56: tag[1].counter.epoch: `starts` is not read in one request with the count: one could be of another run (write group = "…", the same at `n` and `starts`)"#);
    insta::assert_snapshot!(told(&|text| text.replace("epoch = \"starts\"", "epoch = \"n\"")), @"map.toml:18:56: tag[1].counter.epoch: `n` does not tell one start from the next (name the tag of the device's restart count or boot id: registers without scale, digits and enum)");
    insta::assert_snapshot!(told(&|text| text.replace("at = 1\ntype = \"u16\"", "at = 1\ntype = \"bit\"\nbit = 0")), @"map.toml:18:56: tag[1].counter.epoch: `starts` does not tell one start from the next (name the tag of the device's restart count or boot id: registers without scale, digits and enum)");
}

/// What happens to a device and to its count before the next look at both.
#[derive(Debug, Clone)]
enum Happens {
    /// So many pass, and the poll's samples are committed, or are not for the outbox is full.
    Pass(u64, bool),
    /// So many pass, and the poll brings no answer.
    Miss(u64),
    /// So many pass, the device starts anew as often as that, and so many pass.
    Start(u64, u16, u64),
    /// So many pass, and the gateway dies with that poll's samples committed or not.
    Die(u64, bool),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// All that passed is counted but what passed between the last look and a start, and each start that is looked at is
    /// one reset: over wraps and restarts of both, with any count at a start. What can be known is known.
    #[test]
    fn a_tied_count_loses_and_doubles_nothing_over_restarts(
        wraps_at in prop_oneof![Just(800_u64), Just(1_000), Just(65_536)],
        never: bool, first: u16,
        day in proptest::collection::vec(prop_oneof![
            4 => (0_u64..60, any::<bool>()).prop_map(|(n, taken)| Happens::Pass(n, taken)),
            1 => (0_u64..60).prop_map(Happens::Miss),
            2 => (0_u64..60, 1_u16..4, 0_u64..800).prop_map(|(n, times, after)| Happens::Start(n, times, after)),
            1 => (0_u64..60, any::<bool>()).prop_map(|(n, taken)| Happens::Die(n, taken)),
        ], 1..80),
    ) {
        let text = tied(wraps_at, if never { "never" } else { "detect" });
        let mut bench = Bench::new(&text);
        let (mut count, mut starts) = (u64::from(first), 7_u16);
        // What was passed since the last look whose samples were taken: in this run, and is it a new one?
        let (mut due, mut is_new) = (0_u64, false);
        bench.set(Area::Input, 0, &[(count % wraps_at) as u16, starts]);
        bench.poll_after(20);
        for happens in day {
            let (Happens::Pass(n, _) | Happens::Miss(n) | Happens::Start(n, ..) | Happens::Die(n, _)) = happens;
            // Without a look in time a wrap can't be told from a step back: that is the other property's affair.
            let n = if due + n > wraps_at / 8 { 0 } else { n };
            (count, due) = (count + n, due + n);
            if let Happens::Start(_, times, after) = happens {
                let after = after % (wraps_at / 8);
                (count, starts, due, is_new) = (after, starts.wrapping_add(times), after, true);
            }
            bench.set(Area::Input, 0, &[(count % wraps_at) as u16, starts]);
            let taken = match happens {
                Happens::Miss(_) => {
                    bench.mono += 20;
                    let now = bench.now();
                    prop_assert_eq!(bench.points.observe(0, &[None], now), []);
                    continue;
                }
                Happens::Pass(_, taken) | Happens::Die(_, taken) => taken,
                Happens::Start(..) => true,
            };
            let samples = bench.look(0, 20);
            if taken {
                let told = bench.commit(samples);
                let counts: u64 = told.iter().map(|(_, event)| number(event, "count")).sum();
                let resets = told.iter().filter(|(_, event)| short(event).contains("reset=true")).count();
                prop_assert_eq!((counts, resets), (due, usize::from(is_new)));
                (due, is_new) = (0, false);
            } else {
                bench.points.undo();
            }
            if let Happens::Die(..) = happens {
                bench.restart(&text);
            }
        }
    }

    /// Whatever a device shows, over restarts of the gateway and with samples that are not taken: what is counted and what is
    /// told as uncounted is together what the rule without a bound would count, nothing beyond the bound is counted, and
    /// without a bound of its own each step forward is.
    #[test]
    fn what_is_beyond_the_bound_is_told_and_not_lost(
        max_step in proptest::option::of(1_u32..30_000),
        shown in proptest::collection::vec((any::<u16>(), 0_u8..4), 1..40),
    ) {
        let bound = max_step.map(|most| format!(", max_step = {most}")).unwrap_or_default();
        let text = counter(65_536, "detect").replace("\"detect\"", &format!("\"detect\"{bound}"));
        let mut bench = Bench::new(&text);
        let mut last = None;
        for (now, what) in shown {
            bench.set(Area::Input, 0, &[now]);
            let samples = bench.look(0, 20);
            if what == 0 {
                bench.points.undo();
                continue;
            }
            let told = bench.commit(samples);
            let sum = |field| told.iter().map(|(_, event)| number(event, field)).sum::<u64>();
            let (count, uncounted) = (sum("count"), sum("uncounted"));
            let reset = told.iter().any(|(_, event)| short(event).contains("reset=true"));
            if let Some(last) = last.replace(u64::from(now)) {
                let now = u64::from(now);
                let short = max_step.map_or(8_192, |most| 8_192.min(u64::from(most)));
                let step = match (now >= last, 65_536 - last + now) {
                    (true, _) => now - last,
                    (false, across) if across <= short => across,
                    (false, _) => now,
                };
                prop_assert_eq!(count + uncounted, step);
                let most = max_step.map(u64::from).or(reset.then_some(10_000));
                prop_assert!(most.is_none_or(|most| count <= most && (uncounted == 0 || uncounted > most)));
                prop_assert!(max_step.is_some() || reset || uncounted == 0, "an honest step is counted");
            } else {
                prop_assert!(told.is_empty());
            }
            if what == 1 {
                bench.restart(&text);
            }
        }
    }

    /// Without a tie: a step back is a wrap within an eighth of the range, and told as a reset everywhere else, also one
    /// to 0; what is counted after it is what the device shows.
    #[test]
    fn each_step_back_that_can_be_no_wrap_is_told(wraps_at in 16_u64..=65_536, last: u16, now: u16) {
        let (last, now) = (u64::from(last) % wraps_at, u64::from(now) % wraps_at);
        let mut bench = Bench::new(&counter(wraps_at, "detect"));
        bench.set(Area::Input, 0, &[last as u16]);
        bench.poll_after(20);
        bench.set(Area::Input, 0, &[now as u16]);
        let told = bench.poll_after(20);
        let across = wraps_at - last + now;
        let expected = match now {
            _ if now == last => vec![],
            _ if now > last => vec![format!("carton.passed count={} total={now}", now - last)],
            _ if across <= wraps_at / 8 => vec![format!("carton.passed count={across} total={now}")],
            _ if now > 10_000 => vec![format!("carton.passed count=0 total={now} reset=true uncounted={now}")],
            _ => vec![format!("carton.passed count={now} total={now} reset=true")],
        };
        prop_assert_eq!(told, expected);
    }
}

/// A device that was restored shows what it once had: that was counted before, and goes nowhere a second time.
#[test]
fn a_count_that_was_restored_is_told_and_not_counted() {
    let text = |of: &str| {
        format!(
            "[[tag]]\nname = \"n\"\npoll = \"fast\"\narea = \"input\"\nat = 0\ntype = \"u32\"\norder = \"CDAB\"\n\
             counter = {{ reset = \"detect\"{of} }}\n[[event]]\nname = \"carton.passed\"\non = {{ count = \"n\" }}\n"
        )
    };
    let told = |of: &str, counts: &[u32]| {
        let mut bench = Bench::new(&text(of));
        let mut told = Vec::new();
        for count in counts {
            bench.set(Area::Input, 0, &[(count & 0xFFFF) as u16, (count >> 16) as u16]);
            told.extend(bench.poll_after(20).into_iter().map(|event| event.replace("carton.passed ", "")));
        }
        (told, bench.refused)
    };
    let (events, refused) = told("", &[200_000, 123_456, 123_457]);
    assert_eq!(events, ["count=0 total=123456 reset=true uncounted=123456", "count=1 total=123457"]);
    insta::assert_snapshot!(refused.join("\n"), @"carton.passed counts nothing of 123456: n went from 200000 to 123456, and a step may be 10000 (counter.max_step)");
    let (events, refused) = told("", &[200_000, 10_000, 900_000]);
    assert_eq!(
        events,
        ["count=10000 total=10000 reset=true", "count=890000 total=900000"],
        "an honest device loses nothing"
    );
    assert_eq!(refused, [""; 0]);
    let (events, refused) = told(", max_step = 500", &[100, 600, 1_101, 1_102, 500, 4_294_967_290, 4]);
    assert_eq!(
        events,
        [
            "count=500 total=600",
            "count=0 total=1101 uncounted=501",
            "count=1 total=1102",
            "count=500 total=500 reset=true",
            "count=0 total=4294967290 uncounted=4294966790",
            "count=10 total=4",
        ]
    );
    assert_eq!(refused.len(), 2);
}

#[test]
fn a_small_counter_wraps_too() {
    for (wraps_at, last, now, expected) in [
        (10, 9, 0, "count=1 total=0"),
        (10, 9, 1, "count=1 total=1 reset=true"),
        (2, 1, 0, "count=1 total=0"),
        (16, 15, 1, "count=2 total=1"),
        (16, 15, 2, "count=2 total=2 reset=true"),
    ] {
        let mut bench = Bench::new(&counter(wraps_at, "detect"));
        bench.set(Area::Input, 0, &[last]);
        bench.poll_after(20);
        bench.set(Area::Input, 0, &[now]);
        assert_eq!(bench.poll_after(20), [format!("carton.passed {expected}")], "{wraps_at}: {last} to {now}");
    }
}
