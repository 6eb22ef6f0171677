//! What the network saw of a gateway's postings, held against the rules of delivery that can be seen from there. Pure, and it
//! knows nothing of the gateway's own account.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::world::{Errand, Seen, What};

/// A posting that has to be made, in the order in which it happened.
#[derive(Debug, Clone)]
pub(crate) struct Posting {
    pub(crate) key: String,
    /// What orders it.
    pub(crate) line: String,
    pub(crate) lane: &'static str,
    /// `false`: the ERP refuses it, and a person takes it out.
    pub(crate) bookable: bool,
}

/// What was agreed with the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agreed {
    /// For how long it remembers a key.
    pub(crate) horizon: Duration,
    /// How long after the last send its "absent" counts.
    pub(crate) settle: Duration,
}

/// What passed, in numbers, and what may never be.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Requests that post.
    pub(crate) posts: usize,
    /// Of these, the ones without an answer that came back.
    pub(crate) unanswered: usize,
    /// Items in them.
    pub(crate) items: usize,
    /// Of these, the ones of a key that was sent before.
    pub(crate) again: usize,
    /// Items of which the target said that it has them already.
    pub(crate) duplicates: usize,
    /// Answers of 429.
    pub(crate) throttled: usize,
    /// Answers of 401.
    pub(crate) shut_out: usize,
    /// Answers of 202.
    pub(crate) accepted: usize,
    /// Questions for keys.
    pub(crate) lookups: usize,
    /// Keys that such a question found.
    pub(crate) found: HashSet<String>,
    /// Keys that were sent again because such a question did not find them.
    pub(crate) after_absent: HashSet<String>,
    pub(crate) faults: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct Key {
    /// Number within its line.
    place: usize,
    line: usize,
    lane: &'static str,
    bookable: bool,
    print: Option<u64>,
    /// The first send of which nobody knows what came of it, and the last one.
    first: Option<Instant>,
    last: Option<Instant>,
    absent: bool,
    done: bool,
}

/// A request: when, what for, its keys.
struct Request<'a> {
    at: Instant,
    errand: Errand,
    keys: &'a [String],
}

struct Book<'a> {
    agreed: Agreed,
    keys: HashMap<&'a str, Key>,
    /// The keys of each line, in order.
    lines: Vec<Vec<&'a str>>,
    /// Until when each lane was asked to stay away.
    away: HashMap<&'static str, Instant>,
    account: Account,
}

/// Goes through what passed.
pub(crate) fn account(seen: &[Seen], postings: &[Posting], agreed: Agreed) -> Account {
    let mut book =
        Book { agreed, keys: HashMap::new(), lines: Vec::new(), away: HashMap::new(), account: Account::default() };
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for Posting { key, line, lane, bookable } in postings {
        let number = *numbers.entry(line).or_insert(book.lines.len());
        if number == book.lines.len() {
            book.lines.push(Vec::new());
        }
        let place = book.lines[number].len();
        book.lines[number].push(key);
        book.keys.insert(key, Key { place, line: number, lane, bookable: *bookable, ..Key::default() });
    }
    let mut requests: HashMap<usize, Request<'_>> = HashMap::new();
    for Seen { at, request: number, what } in seen {
        match what {
            What::Asked { errand, keys, prints } => {
                requests.insert(*number, Request { at: *at, errand: *errand, keys });
                book.asked(*at, *errand, keys, prints);
            }
            What::Told { status, pause, said, heard } => {
                let Some(request) = requests.get(number) else { continue };
                book.told(*at, request, (*status, *pause), said, *heard);
            }
        }
    }
    let heard = |seen: &&Seen| matches!(seen.what, What::Told { heard: true, .. });
    let heard: HashSet<usize> = seen.iter().filter(heard).map(|seen| seen.request).collect();
    let lost = requests.iter().filter(|(number, request)| request.errand == Errand::Post && !heard.contains(number));
    book.account.unanswered = lost.count();
    book.account
}

impl Book<'_> {
    fn asked(&mut self, at: Instant, errand: Errand, keys: &[String], prints: &[u64]) {
        match errand {
            Errand::Else => {}
            Errand::Look => self.account.lookups += 1,
            Errand::Post => {
                self.account.posts += 1;
                let mut before: HashSet<&str> = HashSet::new();
                for (key, print) in keys.iter().zip(prints) {
                    self.sent(at, key, *print, &before);
                    before.insert(key);
                }
            }
        }
    }

    fn sent(&mut self, at: Instant, name: &str, print: u64, before: &HashSet<&str>) {
        self.account.items += 1;
        let Some(key) = self.keys.get(name).cloned() else {
            self.account.faults.push(format!("{name}: nobody made it"));
            return;
        };
        let mut faults = Vec::new();
        if key.print.is_some_and(|known| known != print) {
            faults.push("sent again with other content".to_owned());
        }
        if let Some(age) = key.first.map(|first| at - first).filter(|age| *age >= self.agreed.horizon) {
            faults.push(format!("sent again after {age:?}, when it may be forgotten"));
        }
        if self.away.get(key.lane).is_some_and(|until| at < *until) {
            faults.push(format!("sent while {} was to stay away", key.lane));
        }
        let ahead =
            self.lines[key.line][..key.place].iter().find(|other| !self.keys[*other].done && !before.contains(*other));
        if let Some(ahead) = ahead {
            faults.push(format!("sent while {ahead}, before it in its line, is open"));
        }
        self.account.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
        self.account.again += usize::from(key.last.is_some());
        if key.absent {
            self.account.after_absent.insert(name.to_owned());
        }
        let key = self.keys.get_mut(name).expect("it was there a moment ago");
        (key.print, key.absent, key.last) = (Some(print), false, Some(at));
        key.first.get_or_insert(at);
    }

    fn told(
        &mut self,
        at: Instant,
        request: &Request<'_>,
        (status, pause): (u16, Option<Duration>),
        said: &[(String, String)],
        heard: bool,
    ) {
        let post = request.errand == Errand::Post;
        self.account.throttled += usize::from(status == 429);
        self.account.shut_out += usize::from(post && status == 401);
        self.account.accepted += usize::from(post && status == 202);
        self.account.duplicates += said.iter().filter(|(_, word)| word == "duplicate").count();
        if !heard {
            return;
        }
        if post && matches!(status, 401 | 429) {
            for name in request.keys {
                let Some(key) = self.keys.get_mut(name.as_str()) else { continue };
                // It had no effect this time, which says nothing of the time before.
                key.first = key.first.filter(|first| *first != request.at);
                if let Some(pause) = pause {
                    self.away.insert(key.lane, at + pause);
                }
            }
        }
        for (name, word) in said {
            let Some(key) = self.keys.get_mut(name.as_str()) else { continue };
            match (request.errand, word.as_str()) {
                (Errand::Look, "present") => {
                    key.done = true;
                    self.account.found.insert(name.clone());
                }
                (Errand::Look, "absent") if key.last.is_none_or(|last| request.at - last >= self.agreed.settle) => {
                    (key.first, key.absent) = (None, true);
                }
                (Errand::Post | Errand::Else, "posted" | "duplicate") => (key.first, key.done) = (None, true),
                (Errand::Post | Errand::Else, "rejected" | "retry") => {
                    key.first = None;
                    key.done |= !key.bookable && word == "rejected";
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREED: Agreed = Agreed { horizon: Duration::from_secs(20), settle: Duration::from_secs(2) };

    /// Lines of `SECONDS post|look KEYS`, answered by lines of `SECONDS STATUS|lost WORDS`, a word for each key; a key's line is
    /// its first letter, its lane `out`. `a3!`: other content.
    fn seen(text: &str) -> Account {
        let begun = Instant::now();
        let (mut all, mut number, mut keys) = (Vec::new(), 0, Vec::new());
        for line in text.split("; ") {
            let words: Vec<&str> = line.split(' ').collect();
            let at = begun + Duration::from_secs(words[0].parse().expect("seconds"));
            let rest = words[2..].iter().map(|word| (*word).to_owned());
            let what = match words[1] {
                "post" | "look" => {
                    number += 1;
                    let errand = if words[1] == "post" { Errand::Post } else { Errand::Look };
                    let prints = rest.clone().map(|key| u64::from(key.ends_with('!'))).collect();
                    keys = rest.map(|key| key.trim_end_matches('!').to_owned()).collect();
                    What::Asked { errand, keys: keys.clone(), prints }
                }
                status => What::Told {
                    status: status.parse().unwrap_or(200),
                    pause: (status == "429").then_some(Duration::from_secs(5)),
                    said: keys.iter().cloned().zip(rest).collect(),
                    heard: status != "lost",
                },
            };
            all.push(Seen { at, request: number, what });
        }
        let names = ["a1", "a2", "a3", "b1"];
        let posting =
            |key: &str| Posting { key: key.into(), line: key[..1].into(), lane: "out", bookable: key != "a2" };
        account(&all, &names.map(posting), AGREED)
    }

    #[test]
    fn what_is_right_is_no_fault() {
        for text in [
            "0 post a1 a2 b1; 1 200 posted posted posted; 2 post a3; 3 200 posted",
            "0 post a1; 1 lost posted; 17 post a1; 18 200 duplicate",
            "0 post a1; 1 lost posted; 30 look a1; 31 200 present; 32 post a2; 33 200 posted",
            "0 post a1; 1 lost; 30 look a1; 31 200 absent; 32 post a1; 33 200 posted",
            "0 post a1; 1 200 retry; 30 post a1; 31 200 posted; 32 post a2; 33 200 rejected; 34 post a3; 35 200 posted",
            "0 post a1; 1 429; 6 post a1; 7 200 posted; 8 post b1; 9 401; 60 post b1; 61 200 posted",
        ] {
            assert_eq!(seen(text).faults, [""; 0], "{text}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        for (text, fault) in [
            ("0 post c1", "c1: nobody made it"),
            ("0 post a1; 1 200 retry; 2 post a1!", "a1: sent again with other content"),
            ("0 post a1; 1 lost posted; 20 post a1", "a1: sent again after 20s, when it may be forgotten"),
            // A refusal of the second attempt says nothing of the first, and an early "absent" is none.
            ("0 post a1; 1 lost; 9 post a1; 10 429; 21 post a1", "a1: sent again after 21s, when it may be forgotten"),
            (
                "0 post a1; 1 lost; 1 look a1; 2 200 absent; 21 post a1",
                "a1: sent again after 21s, when it may be forgotten",
            ),
            ("0 post a1; 1 429; 3 post b1", "b1: sent while out was to stay away"),
            ("0 post a1; 1 200 retry; 2 post a2", "a2: sent while a1, before it in its line, is open"),
            ("0 post a2 a1", "a2: sent while a1, before it in its line, is open"),
            ("0 post a1; 1 lost posted; 2 post a2", "a2: sent while a1, before it in its line, is open"),
        ] {
            assert_eq!(seen(text).faults, [fault], "{text}");
        }
    }

    #[test]
    fn it_counts() {
        let told = seen(
            "0 post a1 b1; 1 lost posted posted; 25 look a1 b1; 26 200 present absent; 27 post b1; 28 200 duplicate",
        );
        assert_eq!((told.posts, told.unanswered, told.items, told.again), (2, 1, 3, 1));
        assert_eq!((told.lookups, told.duplicates), (1, 1));
        assert_eq!((told.found, told.after_absent), (["a1".into()].into(), ["b1".into()].into()));
    }
}
