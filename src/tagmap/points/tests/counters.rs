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
