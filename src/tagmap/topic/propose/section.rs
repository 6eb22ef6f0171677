//! The section as it stands in a map.

use std::fmt::Write as _;

use super::barcode::{Barcode, numbers_like_ais};
use super::identity::{Identity, asked, hinted, is_content};
use super::{Capture, Field, Found, Heard, topics};

/// What a section is made of.
pub(super) struct Parts<'a> {
    pub(super) captures: &'a [Capture],
    pub(super) fields: &'a [Field<'a>],
    pub(super) left_out: &'a [&'a Found<'a>],
    pub(super) identity: Identity,
    pub(super) barcode: Option<Barcode>,
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

impl Parts<'_> {
    /// The whole of it.
    pub(super) fn written(&self, filter: &str, of: &[Heard]) -> String {
        let mut text = String::new();
        line(&mut text, "[[topic]]");
        line(&mut text, &format!("filter = {}", quoted(filter)));
        line(&mut text, "qos = 1\npayload = \"json\"");
        let longest = of.iter().map(|heard| heard.payload.len()).max().unwrap_or_default();
        if longest > 32 << 10 {
            line(&mut text, &format!("max_bytes = \"{} KiB\"", (longest * 2).div_ceil(1 << 10)));
        }
        self.fields(&mut text);
        if let Some(barcode) = &self.barcode {
            line(&mut text, "");
            barcode.lines(&self.fields[barcode.from].name).iter().for_each(|of| line(&mut text, of));
        } else if let Some((name, example)) = numbers_like_ais(self.fields) {
            line(
                &mut text,
                &format!(
                    "# {name} holds EANs or UPCs by their check digits, and no symbology identifier: {example} would be read"
                ),
            );
            line(
                &mut text,
                "# as an AI with a value. Have the scanner send identifiers (]E0), and listen again: docs/gs1.md",
            );
        }
        self.emit(&mut text);
        self.identity(&mut text, topics(of));
        text
    }

    fn fields(&self, text: &mut String) {
        line(text, "\n[topic.field]");
        for Field { name, path, kind, format, required, found } in self.fields {
            let format = format.map(|format| format!(", format = \"{format}\"")).unwrap_or_default();
            let required = if *required { ", required = true" } else { "" };
            let example: String = found.leaf.example.chars().take(40).filter(|c| !c.is_control()).collect();
            let path = quoted(path);
            line(text, &format!("{name} = {{ path = {path}, type = \"{kind}\"{format}{required} }}    # {example}"));
        }
        for found in self.left_out {
            let types: Vec<&str> = found.leaf.types.iter().copied().collect();
            let path: String = found.leaf.path.chars().filter(|c| !c.is_control()).collect();
            line(text, &format!("# {path} is a {}: no type of this version takes it", types.join(" or a ")));
        }
    }

    fn emit(&self, text: &mut String) {
        let apart: Vec<usize> = match self.identity {
            Identity::Counted { boot, seq } => vec![boot, seq],
            Identity::Message(id) => vec![id],
            Identity::Content(_) => Vec::new(),
        };
        let fields = self.fields.iter().enumerate();
        let carried =
            fields.filter(|(i, field)| !apart.contains(i) && field.kind != "time").map(|(_, field)| &field.name);
        let carried: Vec<&String> = self.captures.iter().map(|capture| &capture.name).chain(carried).collect();
        line(text, "\n[[topic.emit]]");
        let subject = self.subject();
        if let Some(ai) = subject.as_ref().filter(|subject| subject.starts_with("ai.")) {
            line(text, &format!("when = {{ field = \"{ai}\" }}"));
        }
        line(text, "event = \"device.message\"    # name what it means: \"scan.carton\"");
        if let Some(subject) = subject {
            line(
                text,
                &format!("subject = \"{{{subject}}}\"    # what it is about: events of one subject stay in order"),
            );
        }
        if let Some(barcode) = &self.barcode {
            let own = carried.iter().map(|name| format!("{name} = \"{name}\""));
            let ais = barcode.ais.iter().map(|(name, ai)| format!("{name} = \"ai.{ai}\""));
            line(text, &format!("fields = {{ {} }}", own.chain(ais).collect::<Vec<_>>().join(", ")));
        } else {
            let carried: Vec<String> = carried.iter().map(|name| format!("\"{name}\"")).collect();
            line(text, &format!("fields = [{}]", carried.join(", ")));
        }
    }

    /// The slot that says what a message is about.
    fn subject(&self) -> Option<String> {
        let barcode = self.barcode.as_ref().filter(|barcode| self.fields[barcode.from].required);
        if let Some(barcode) = barcode {
            let code = || self.fields[barcode.from].name.clone();
            return Some(barcode.subject().map_or_else(code, |ai| format!("ai.{ai}")));
        }
        let named = |field: &&Field<'_>| {
            field.required && is_content(field) && hinted(field, &["barcode", "code", "sscc", "epc", "tag"])
        };
        let field = match self.identity {
            Identity::Content(content) => Some(&self.fields[content]),
            _ => self.fields.iter().find(named),
        };
        field.map(|field| field.name.clone())
    }

    fn identity(&self, text: &mut String, topics: usize) {
        line(text, "\n[topic.identity]");
        match self.captures.iter().rfind(|capture| capture.is_instance) {
            Some(instance) => {
                line(text, &format!("device = \"{{device}}-{{{}}}\"    # each counts for itself", instance.name));
            }
            None if topics > 1 => {
                line(text, &format!("# {topics} topics are one device here: where each counts for itself, it needs a"));
                line(text, "# [[device]] of its own, with the level of its topic as a parameter of the map");
            }
            None => {}
        }
        let name = |field: usize| &self.fields[field].name;
        match self.identity {
            Identity::Counted { boot, seq } => {
                line(text, &format!("boot = \"{}\"\nseq = \"{}\"", name(boot), name(seq)));
            }
            Identity::Message(id) => line(text, &format!("message_id = \"{}\"", name(id))),
            Identity::Content(content) => {
                let asked = asked(self.fields, content);
                let why = if asked.is_some() { "repeats" } else { "no count was seen: repeats" };
                if let Some((seq, boots)) = &asked {
                    ask(text, seq, boots);
                }
                line(text, &format!("content = \"{}\"    # {why} are told apart by time alone", name(content)));
                line(text, "window = \"2s\"");
            }
        }
    }
}

/// A count is worth nothing without what tells a restart from a repeat.
fn ask(text: &mut String, seq: &str, boots: &[&str]) {
    let Some(first) = boots.first() else {
        line(
            text,
            &format!(
                "# {seq} counts, but nothing that could be a boot id stays while it does: after a restart its numbers"
            ),
        );
        line(text, "# would come again. Ask for a boot id in the payload (docs/mqtt.md)");
        return;
    };
    let or = boots.join("` or `");
    line(
        text,
        &format!("# {seq} counts; is `{or}` the boot id? It stays while {seq} counts. Switch the device off and on"),
    );
    line(
        text,
        "# while you listen: if it is another one then, and the same until the next time, write instead of what follows:",
    );
    line(text, &format!("#   boot = \"{first}\"\n#   seq = \"{seq}\""));
}
