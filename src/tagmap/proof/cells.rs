//! What a `[[test]]` puts into a device's tables: numbers that no tag reads prove nothing, and are faults.

use serde_json::{Map as Object, Value as Json, json};

use crate::form::{Fault, Table};
use crate::tagmap::points::{Area, Points, Read};
use crate::tagmap::{Addresses, Map};

/// `12 = [5, 6]` in `given.holding`, with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cells {
    area: Area,
    /// As the map writes it.
    written: String,
    values: Vec<u16>,
    /// Without words.
    place: Fault,
}

/// `holding = { 21 = [5, 6] }`, as a sample has it; adds what it puts there to `cells`.
pub(super) fn read(table: &Table<'_>, cells: &mut Vec<Cells>) -> Object<String, Json> {
    let mut tables = Object::new();
    for area in [Area::Coil, Area::Discrete, Area::Input, Area::Holding] {
        let Some(of) = table.table(area.word()) else { continue };
        let mut given = Object::new();
        for entry in of.all() {
            let Some(values) = entry.read::<Vec<u16>>() else { continue };
            given.insert(entry.key().to_owned(), json!(values));
            cells.push(Cells { area, written: entry.key().to_owned(), values, place: entry.fault("", "") });
        }
        tables.insert(area.word().to_owned(), given.into());
    }
    tables
}

impl Cells {
    /// What is wrong with them in that map. A 0 that no tag reads is as good as none: it may stand between two that are read.
    pub(super) fn fault(&self, map: &Map) -> Option<Fault> {
        let (message, help) = self.wrong(map)?;
        Some(Fault { message, help, ..self.place.clone() })
    }

    fn wrong(&self, map: &Map) -> Option<(String, String)> {
        let Some(addresses) = map.addresses else {
            let help = "give what its device sends: topic with payload, or stream".to_owned();
            return Some(("a map of messages has no tables".to_owned(), help));
        };
        let Some((by_number, at)) = self.written.parse().ok().and_then(|number| addresses.resolve(number)) else {
            return Some((format!("{} is no address", self.written), addresses.help().to_owned()));
        };
        if let Some(by_number) = by_number.filter(|by_number| *by_number != self.area) {
            let (written, word) = (&self.written, by_number.word());
            let message = format!("contradicts the number: {written} is in the table \"{word}\"");
            return Some((message, format!("write {word} = {{ {written} = … }}")));
        }
        if usize::from(at) + self.values.len() > 65_536 {
            let message = format!("{} values from {} go past the last one", self.values.len(), self.written);
            return Some((message, addresses.help().to_owned()));
        }
        let tags: Vec<(&str, Read)> = map.points.iter().flat_map(Points::places).collect();
        let by = |area: Area, at: u16| {
            let reads = |read: &Read| read.area == area && at.checked_sub(read.at).is_some_and(|i| i < read.count);
            tags.iter().find(|(_, read)| reads(read)).map(|(name, _)| *name)
        };
        let unread: Vec<(u16, u16)> =
            (at..=u16::MAX).zip(self.values.iter().copied()).filter(|(at, _)| by(self.area, *at).is_none()).collect();
        let none_is_read = unread.len() == self.values.len();
        let (first, _) = *unread.iter().find(|(_, value)| none_is_read || *value != 0)?;
        let place = |area, at| shown(addresses, area, at);
        let message = format!("no tag reads {}", place(self.area, first));
        let mut others =
            [Area::Coil, Area::Discrete, Area::Input, Area::Holding].into_iter().filter(|a| *a != self.area);
        let elsewhere = others.find_map(|other| Some((other, by(other, first)?)));
        let help = if let Some((other, tag)) = elsewhere {
            format!("{} is read by `{tag}`", place(other, first))
        } else if let Some(fifo) = map.fifos.iter().find(|fifo| self.area == Area::Holding && fifo.owns(first, 1)) {
            format!("it is the FIFO's: give a slot with fifo = \"{}\", seq and words", fifo.name)
        } else if let Some((tag, read)) = nearest(&tags, self.area, first) {
            format!("the nearest tag there is `{tag}`, {}", place(self.area, read.at))
        } else {
            format!("the map has no tag in the table \"{}\"", self.area.word())
        };
        Some((message, help))
    }
}

fn nearest<'t>(tags: &[(&'t str, Read)], area: Area, at: u16) -> Option<(&'t str, Read)> {
    let there = tags.iter().filter(|(_, read)| read.area == area);
    there.min_by_key(|(_, read)| read.at.abs_diff(at)).copied()
}

/// `holding register 12`
fn shown(addresses: Addresses, area: Area, at: u16) -> String {
    let number = addresses.written(area, at).unwrap_or_else(|| i64::from(at));
    format!("{} {number}", area.one())
}

#[cfg(test)]
mod tests {
    use super::super::Test;
    use crate::form::Document;

    /// What is told of a `[[test]]` of the sorter that gives this.
    fn told(given: &str) -> String {
        let map = include_str!("../../../devices/acme-sorter/map.toml");
        let map = map.split("[[test]]").next().unwrap_or_default();
        let text = format!("{map}[[test]]\nname = \"t\"\ngiven = {{ {given} }}\nexpect = []\n");
        let document = Document { name: "map.toml".to_owned(), text };
        let tests = Test::all(&document).expect("the test has no fault of its own");
        let told = tests[0].run(&document).err().map(|wrong| wrong.to_string()).unwrap_or_default();
        told.split_once(": test[1].given.").map(|(_, told)| told.to_owned()).unwrap_or(told)
    }

    #[test]
    fn a_number_of_another_table_and_a_fifos_registers_are_told() {
        insta::assert_snapshot!(told("holding = { 30001 = [1] }"), @r#"holding.30001: contradicts the number: 30001 is in the table "input" (write input = { 30001 = … })"#);
        insta::assert_snapshot!(told("holding = { 40101 = [7] }"), @r#"holding.40101: no tag reads holding register 40101 (it is the FIFO's: give a slot with fifo = "divert", seq and words)"#);
        insta::assert_snapshot!(told("holding = { 465536 = [1, 2] }"), @r#"holding.465536: 2 values from 465536 go past the last one (addresses = "modicon": coils from 1, inputs from 10001, input registers from 30001, holding registers from 40001; of six digits from 100001, 300001, 400001)"#);
        insta::assert_snapshot!(told("holding = { 465536 = [1] }"), @r#"holding.465536: no tag reads holding register 465536 (the map has no tag in the table "holding")"#);
    }
}
