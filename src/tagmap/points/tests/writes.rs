//! Writes: numbers in the unit that people read.

use super::*;

#[test]
fn numbers_are_written_in_the_unit_in_which_they_are_read() {
    let write = |rest: &str| {
        format!("[[write]]\nname = \"w\"\narea = \"holding\"\nat = 50\nallow = [\"role:operator\"]\n{rest}")
    };
    let kilos = write("type = \"u16\"\nscale = 0.1\noffset = -5\nunit = \"kg\"\nrange = [-5, 50.5]\n");
    let points = map(&kilos, &[]).expect("it has no fault").points.expect("it has points");
    let put = |number: &str| points.write("w", &Value::Text(number.to_owned())).map(|request| request.put);
    assert_eq!(put("12.5"), Ok(Put::Register(175)));
    assert_eq!(put("-5"), Ok(Put::Register(0)));
    assert_eq!(put("50.50"), Ok(Put::Register(555)));
    assert_eq!(put("50.6"), Err("w takes -5 to 50.5 kg, not 50.6".to_owned()));
    assert_eq!(put("12.55"), Err("12.55 is no whole number of steps of 0.1 from -5".to_owned()));
    assert_eq!(points.write("w", &Value::Int(12)).map(|request| request.put), Ok(Put::Register(170)));
    assert_eq!(points.write_unit("w"), Some("kg"));
    let recipe = write("type = \"u16\"\nunit = \"no.\"\nrange = [1, 20]\n");
    let points = map(&recipe, &[]).expect("it has no fault").points.expect("it has points");
    let put = |number: &str| points.write("w", &Value::Text(number.to_owned())).map(|request| request.put);
    assert_eq!(put("5.5"), Err("w is a whole number, 1 to 20 no., not 5.5".to_owned()));
    assert_eq!(put("5.0"), Ok(Put::Register(5)));
    let float = write("type = \"f32\"\norder = \"ABCD\"\nscale = 1000\nrange = [0, 9]\n");
    let points = map(&float, &[]).expect("it has no fault").points.expect("it has points");
    assert_eq!(points.write("w", &Value::Int(5)).map(|request| request.put), Ok(Put::Registers(vec![0x3BA3, 0xD70A])));
    let told = |rest: &str| map(&write(rest), &[]).err().unwrap_or_default().join("\n");
    insta::assert_snapshot!(told("type = \"u16\"\nscale = 0.1\nrange = [0, 7000]\n"), @"map.toml:19:9: write[1].range: 7000 is 70000 steps of 0.1, which its type can't hold (give a range that the register can hold)");
    insta::assert_snapshot!(told("type = \"u16\"\nscale = 0\nrange = [0, 7000]\n"), @"map.toml:18:9: write[1].scale: is 0 (no number could be written: write what one step of the register is)");
    insta::assert_snapshot!(told("type = \"u16\"\nscale = 0.1\nenum = { 1 = \"on\" }\n"), @"map.toml:18:9: write[1].scale: is for numbers without words (remove it)");
    insta::assert_snapshot!(told("type = \"bit\"\nbit = 3\nunit = \"kg\"\n"), @"map.toml:19:8: write[1].unit: is for numbers without words (remove it)");
    insta::assert_snapshot!(told("type = \"bit\"\nbit = 3\nrate = \"1/s\"\n"), @"map.toml:19:8: write[1].rate: counts nothing: one command writes once, and none come over a network (remove it)");
}
