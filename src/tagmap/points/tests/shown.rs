//! What people are shown of tags and alarms.

use super::*;

const SCALE: &str = "[[tag]]\nname = \"weight\"\npoll = \"fast\"\narea = \"holding\"\nat = 0\ntype = \"u16\"\nunit = \"kg\"\n\
                     scale = 0.1\nvalid = { invalid = [32767] }\n\
                     [[tag]]\nname = \"state\"\npoll = \"fast\"\narea = \"holding\"\nat = 2\ntype = \"u16\"\n\
                     bits = { jam = 3, speed = { from = 4, to = 5 } }\n\
                     [[tag]]\nname = \"eye\"\npoll = \"fast\"\narea = \"discrete\"\nat = 7\ntype = \"bool\"\n\
                     [[tag]]\nname = \"slow\"\npoll = \"slow\"\narea = \"holding\"\nat = 3\ntype = \"u16\"\n";

/// `name = value unit`, or why not.
fn line(shown: &Shown) -> String {
    let value = shown.value.as_ref().map_or("none".to_owned(), |v| serde_json::to_string(v).expect("it prints"));
    let unit = shown.unit.as_deref().unwrap_or_default();
    let at = shown.at.map_or("never".to_owned(), |at| at.0.to_string());
    let why = shown.reason.as_deref().unwrap_or_default();
    format!("{} = {value} {unit} {} at {at} {why}", shown.tag, shown.quality.word())
}

#[test]
fn a_poll_is_shown_with_what_came_and_what_it_says() {
    let mut bench = Bench::new(SCALE);
    bench.hold(0, &[50, 9, 0b10_1000]);
    bench.look(0, 20);
    let answers = bench.answers(0);
    let cycle = bench.points.cycle(0, &answers);
    let told: Vec<String> = cycle
        .reads
        .iter()
        .flat_map(|read| {
            let head = format!("{:?} {}+{} {:?} {:?}", read.area, read.at, read.count, read.words, read.bits);
            std::iter::once(head).chain(read.tags.iter().map(line))
        })
        .collect();
    assert_eq!(
        told,
        [
            "Discrete 7+1 None Some([false])",
            "eye = false  good at 1000020 ",
            "Holding 0+3 Some([50, 9, 40]) None",
            "weight = \"5\" kg good at 1000020 ",
            "state = 40  good at 1000020 ",
            "state.jam = true  good at 1000020 ",
            "state.speed = 2  good at 1000020 ",
        ]
    );
    bench.hold(0, &[32767]);
    bench.look(0, 20);
    bench.mono += 20;
    let now = bench.now();
    let answers = [None, bench.answers(0).remove(1)];
    bench.points.observe(0, &answers, now);
    assert_eq!(bench.points.cycle(0, &answers).reads[0].bits, None);
    let told: Vec<String> = bench.points.shown().iter().map(line).collect();
    assert_eq!(
        told,
        [
            "weight = \"5\" kg bad at 1000060 is 32767, which the map calls invalid",
            "state = 40  good at 1000060 ",
            "state.jam = true  good at 1000060 ",
            "state.speed = 2  good at 1000060 ",
            "eye = false  stale at 1000040 was not answered",
            "slow = none  stale at never was not read yet",
        ]
    );
}

#[test]
fn an_alarm_is_shown_as_it_stands() {
    let text = "[[tag]]\nname = \"stop\"\npoll = \"fast\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\n\
                [[tag]]\nname = \"button\"\npoll = \"fast\"\narea = \"discrete\"\nat = 9\ntype = \"bool\"\n\
                [[alarm]]\nname = \"stop\"\nwhen = \"stop\"\nseverity = \"high\"\ntext = \"pulled\"\nlatch = true\nack = \"button\"\n";
    let mut bench = Bench::new(text);
    let stands = |bench: &Bench| -> Vec<(Stands, Option<i64>)> {
        bench.points.standing().map(|standing| (standing.state, standing.since.map(|at| at.0))).collect()
    };
    bench.run(100);
    assert_eq!(stands(&bench), []);
    bench.set(Area::Discrete, 0, &[1]);
    bench.run(100);
    let raised = Some(1_000_120);
    assert_eq!(stands(&bench), [(Stands::Active, raised)]);
    let standing = bench.points.standing().next().expect("it stands");
    assert_eq!((standing.severity.as_str(), standing.text.as_deref()), ("high", Some("pulled")));
    bench.set(Area::Discrete, 0, &[0]);
    bench.run(100);
    assert_eq!(stands(&bench), [(Stands::Latched, raised)]);
    bench.set(Area::Discrete, 0, &[1]);
    bench.restart(text);
    bench.run(20);
    assert_eq!(stands(&bench), [(Stands::Active, raised)], "it is known over a restart");
    bench.set(Area::Discrete, 9, &[1]);
    bench.run(20);
    bench.set(Area::Discrete, 9, &[0]);
    bench.run(20);
    assert_eq!(stands(&bench), [(Stands::Acknowledged, raised)]);
    bench.set(Area::Discrete, 0, &[0]);
    bench.run(20);
    assert_eq!(stands(&bench), []);
}
