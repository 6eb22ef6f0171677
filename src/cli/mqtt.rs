//! `floorgate mqtt`: what passes at a broker, seen from a laptop, beside a gateway or without one.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use crate::app::Exit;
use crate::cli::print::{self, clean, line};
use crate::cli::{block_on, duration};
use crate::config;
use crate::event::is_valid_id;
use crate::source::mqtt::{self, Stage, listen};
use crate::source::tls::Tls;
use crate::tagmap::propose::{self, Heard};

/// Look at what passes at a broker
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Sniff(Sniff),
}

/// Listen to a topic, and propose a map that reads it.
///
/// Shows each message as it comes, then every path of the payloads with what stands there, and a map that this version reads
/// and that decodes all of them: a beginning, in which names and meaning are to be mended by someone who knows the device.
/// Below `# proposed` it is what devices/NAME/map.toml has to hold; docs/mqtt.md goes on from there. Switch the device off and on meanwhile: so its boot id is known by what it does. Listens as a client of its own, whose session ends with it: a running gateway misses nothing.
///
/// Ends with 69 when the broker can't be reached, refuses, or says nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Sniff {
    /// The filter: `dc1/scan/+/read`, `dc1/#`; a level named +station is proposed as a capture of that name
    topic: String,
    /// The broker: `host`, `host:port`, or as in the configuration `mqtt://host`, `mqtts://host` (with --ca-file)
    #[arg(long, value_name = "ADDRESS", required_unless_present = "link")]
    broker: Option<String>,
    /// The CA that signed the broker's certificate (PEM): speak TLS
    #[arg(long, value_name = "FILE", conflicts_with = "link")]
    ca_file: Option<PathBuf>,
    /// User at the broker
    #[arg(long, value_name = "NAME", conflicts_with = "link", requires = "password_file")]
    user: Option<String>,
    /// File with the user's password, in its first line
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Instead of an address: a link of the configuration, with its certificates and credentials
    #[arg(long, value_name = "ID", conflicts_with = "broker")]
    link: Option<String>,
    /// The configuration that has the link
    #[arg(long, value_name = "FILE", default_value_os_t = config::default_file(), requires = "link")]
    config: PathBuf,
    /// Listen so long; Ctrl-C ends it before
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration)]
    time: Duration,
    /// End after so many messages
    #[arg(long, value_name = "N", default_value_t = MOST as u32, value_parser = clap::value_parser!(u32).range(1..=MOST as i64))]
    count: u32,
    /// Id of the proposed map
    #[arg(long, value_name = "NAME", default_value = "sniffed")]
    map: String,
    /// Print one JSON object at the end, with the proposed `map`, and its `section` alone for one that is there
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate mqtt sniff --broker 10.20.0.5 'dc1/scan/+station/read'
  floorgate mqtt sniff --link broker 'dc1/#' --for 2m
  floorgate mqtt sniff --broker mqtt.example.com:8883 --ca-file ca.pem --user fitter --password-file pw '#' --count 20
  floorgate mqtt sniff --broker 10.20.0.5 'dc1/#' --map reader --json | jq -r .map > devices/acme-reader/map.toml";

/// Messages that are kept to look at …
const MOST: usize = 1_000;
/// … and bytes of them in all.
const MOST_BYTES: usize = 8 << 20;
/// Longest payload that is looked at.
const LONGEST: usize = 1 << 20;
/// Topics that are listed.
const TOPICS: usize = 50;

pub(super) fn run(verb: &Verb) -> ExitCode {
    let Verb::Sniff(args) = verb;
    if !is_valid_id(&args.map) {
        let why = format!("\"{}\" is no id of a map: write letters, digits, - and _, at most 32", args.map);
        return print::refuse(args.json, &why, Exit::Usage);
    }
    let (config, filter) = match args.listener().and_then(|config| Ok((config, filter(&args.topic)?))) {
        Ok(found) => found,
        Err((exit, why)) => return print::refuse(args.json, &why, exit),
    };
    let (mut seen, stage) = (Seen::default(), Cell::default());
    let ended = block_on(async {
        let take = |heard, retained| seen.take(heard, retained, args);
        tokio::select! {
            ended = listen(&config, &filter, &stage, take) => ended,
            () = tokio::time::sleep(args.time) => Ok(()),
            pressed = tokio::signal::ctrl_c() => pressed.map_err(|e| e.to_string()),
        }
    });
    match ended {
        Err(why) => print::refuse(args.json, &why, Exit::Internal),
        Ok(Err(why)) if seen.heard.is_empty() => print::refuse(args.json, &why, Exit::Unavailable),
        Ok(Ok(())) if seen.heard.is_empty() => {
            let (time, at) = (args.time, format!("{}:{}", config.host, config.port));
            let why = match stage.get() {
                Stage::Connecting => format!(
                    "{at}: no broker's answer to our CONNECT in {time:?}: is it the broker's port, and with TLS or without \
                     as we spoke? A slow way wants a longer --for"
                ),
                Stage::Connected => format!(
                    "{at}: the broker took the connection, but has not answered the subscription to {filter} in {time:?}: \
                     listen longer (--for)"
                ),
                Stage::Subscribed => format!(
                    "nothing came on {filter} in {time:?}: is it the right topic, and does the device send? '#' shows all \
                     topics that this user may read"
                ),
            };
            print::refuse(args.json, &why, Exit::Unavailable)
        }
        Ok(ended) => {
            // Half of what was to be heard is worth looking at.
            ended.err().iter().for_each(|why| print::err(&format!("{why}\n")));
            let report = Report::of(args, &seen);
            print::out(&if args.json { print::json(&report) } else { report.text() });
            Exit::Clean.into()
        }
    }
}

type Refusal = (Exit, String);

impl Sniff {
    fn listener(&self) -> Result<mqtt::Config, Refusal> {
        // As long as each broker must take it; two laptops must not take each other's place.
        let client_id = format!("floorgate-sniff-{:07x}", fastrand::u32(..1 << 28));
        if let Some(id) = &self.link {
            let config = config::load(&self.config).map_err(|faults| (Exit::Config, print::faults(&faults)))?;
            let link = config.mqtt.iter().find(|link| *link.link == **id);
            let known: Vec<&str> = config.mqtt.iter().map(|link| &*link.link).collect();
            let unknown =
                || (Exit::Usage, format!("the configuration has no MQTT link \"{id}\", but: {}", known.join(", ")));
            return Ok(link.ok_or_else(unknown)?.beside(client_id));
        }
        let (host, port) = address(self.broker.as_deref().unwrap_or_default(), self.ca_file.is_some())?;
        let tls = self.ca_file.clone().map(|ca_file| Tls { ca_file, own: None, warn_before_expiry: Duration::ZERO });
        let login = self.user.clone().zip(self.password_file.as_ref()).map(|(user, file)| {
            let text = std::fs::read_to_string(file).map_err(|e| (Exit::Usage, format!("{}: {e}", file.display())))?;
            Ok((user, text.lines().next().unwrap_or_default().to_owned()))
        });
        let login = login.transpose()?;
        Ok(mqtt::Config { tls, login, ..mqtt::Config::listener(host, port, client_id) })
    }
}

/// Host and port of what is written as here, or as in the configuration; `secure`: a CA is named.
fn address(text: &str, secure: bool) -> Result<(String, u16), Refusal> {
    let wrong = |why: &str| (Exit::Usage, format!("\"{text}\" {why}"));
    let help = "is no broker's address: write host, host:port, mqtt://host or mqtts://host";
    let rest = match text.split_once("://") {
        None => text,
        Some((scheme, rest)) => match (config::is_secure(scheme), secure) {
            (None, _) => return Err(wrong(help)),
            (Some(true), false) => {
                return Err(wrong("speaks TLS: name the CA that signed its certificate with --ca-file"));
            }
            (Some(false), true) => return Err(wrong("speaks no TLS: write mqtts://, or leave --ca-file out")),
            _ => rest,
        },
    };
    config::broker_address(rest, secure).ok_or_else(|| wrong(help))
}

/// The filter as brokers take it: without the names of captures.
fn filter(topic: &str) -> Result<String, Refusal> {
    let levels: Vec<&str> = topic.split('/').map(|level| if level.starts_with('+') { "+" } else { level }).collect();
    let hash = levels.iter().position(|level| level.contains('#'));
    let wrong = topic.is_empty()
        || topic.len() > usize::from(u16::MAX)
        || topic.contains('\0')
        || hash.is_some_and(|at| levels[at] != "#" || at + 1 != levels.len())
        || levels.iter().any(|level| level.contains('+') && *level != "+");
    let help = "write levels between slashes; + stands for one, # at the end for all that follow";
    if wrong { Err((Exit::Usage, format!("\"{topic}\" is no filter: {help}"))) } else { Ok(levels.join("/")) }
}

/// What has come so far.
#[derive(Debug, Default)]
struct Seen {
    heard: Vec<Heard>,
    bytes: usize,
    retained: usize,
    too_long: usize,
}

impl Seen {
    fn take(&mut self, heard: Heard, retained: bool, args: &Sniff) -> ControlFlow<()> {
        let text = clean(&String::from_utf8_lossy(&heard.payload));
        let kept = if retained { " (kept by the broker)" } else { "" };
        let shown = format!("{}{kept}  {text}\n", clean(&heard.topic));
        if args.json {
            print::err(&shown);
        } else {
            print::live(&shown)?;
        }
        self.retained += usize::from(retained);
        if heard.payload.len() > LONGEST {
            self.too_long += 1;
            return ControlFlow::Continue(());
        }
        self.bytes += heard.payload.len();
        self.heard.push(heard);
        let enough = self.heard.len() >= args.count as usize || self.bytes >= MOST_BYTES;
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[derive(Serialize)]
struct Report {
    messages: usize,
    /// Of these, what the broker had kept.
    retained: usize,
    /// Not looked at.
    too_long: usize,
    /// Different topics …
    topic_count: usize,
    /// … and the first of them.
    topics: Vec<String>,
    fields: Vec<Field>,
    /// A whole map …
    map: Option<String>,
    /// … and its `[[topic]]` alone.
    section: Option<String>,
    /// Messages that it was made of.
    section_of: usize,
    /// Why there is none.
    no_section: Option<String>,
}

/// What stands in a map above its topics.
fn head(args: &Sniff) -> String {
    let source = toml::Value::from(format!("floorgate mqtt sniff '{}'", clean(&args.topic)));
    let id = &args.map;
    format!("schema = 1\n\n[map]\nid = \"{id}\"\nversion = 1\nprotocol = \"mqtt\"\nsource = {source}\n")
}

#[derive(Serialize)]
struct Field {
    path: String,
    types: BTreeSet<&'static str>,
    /// In how many messages.
    count: usize,
    example: String,
}

impl Report {
    fn of(args: &Sniff, seen: &Seen) -> Self {
        let filter = args.topic.as_str();
        let topics: BTreeSet<&str> = seen.heard.iter().map(|heard| heard.topic.as_str()).collect();
        let field = |leaf: propose::Leaf| Field {
            path: leaf.path,
            types: leaf.types,
            count: leaf.count,
            example: leaf.example,
        };
        let (section, no_section) = match propose::propose(filter, &seen.heard) {
            Ok(proposal) => (Some(proposal), None),
            Err(why) => (None, Some(why)),
        };
        Self {
            messages: seen.heard.len(),
            retained: seen.retained,
            too_long: seen.too_long,
            topic_count: topics.len(),
            topics: topics.into_iter().take(TOPICS).map(str::to_owned).collect(),
            fields: propose::leaves(&seen.heard).into_iter().map(field).collect(),
            section_of: section.as_ref().map_or(0, |section| section.of),
            map: section.as_ref().map(|section| format!("{}\n{}", head(args), section.text)),
            section: section.map(|section| section.text),
            no_section,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        line(&mut text, &format!("\n{} messages on {} topics", self.messages, self.topic_count));
        if self.retained > 0 {
            line(&mut text, &format!("{} of them kept by the broker: they say what was", self.retained));
        }
        if self.too_long > 0 {
            line(&mut text, &format!("{} others are longer than {} KiB", self.too_long, LONGEST >> 10));
        }
        let fields: Vec<[String; 4]> = self
            .fields
            .iter()
            .map(|field| {
                let types: Vec<&str> = field.types.iter().copied().collect();
                [clean(&field.path), types.join(" or "), format!("in {}", field.count), clean(&field.example)]
            })
            .collect();
        print::table(&mut text, &fields, 4);
        match (&self.map, &self.no_section) {
            (Some(map), _) => {
                line(&mut text, &format!("\n# proposed, from {} messages: mend names and meaning", self.section_of));
                let others = self.messages - self.section_of;
                if others > 0 {
                    let help = "narrow the topic down for a section of theirs";
                    line(&mut text, &format!("# {others} others have topics of another length: {help}"));
                }
                text.push_str(map);
            }
            (None, Some(why)) => line(&mut text, &format!("\nno section is proposed: {why}")),
            (None, None) => {}
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_as_in_the_configuration_or_shorter() {
        let of = |text, secure| address(text, secure).map_err(|(_, why)| why);
        let is = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(
            (of("hall", false), of("hall:18", false), of("hall", true)),
            (is("hall", 1883), is("hall", 18), is("hall", 8883))
        );
        assert_eq!((of("mqtt://hall", false), of("mqtts://hall:18", true)), (is("hall", 1883), is("hall", 18)));
        for (text, secure, says) in [
            ("mqtts://hall", false, "--ca-file"),
            ("mqtt://hall", true, "speaks no TLS"),
            ("http://hall", false, "mqtt://host"),
            ("mqtt://ann:pw@hall", false, "no broker's address"),
        ] {
            assert!(of(text, secure).is_err_and(|why| why.contains(says)), "{text}");
        }
    }

    #[test]
    fn a_filter_is_taken_without_the_names_of_its_captures() {
        let of = |topic| filter(topic).map_err(|(_, why)| why);
        assert_eq!(of("dc1/+station/read"), Ok("dc1/+/read".to_owned()));
        assert_eq!(of("#"), Ok("#".to_owned()));
        for wrong in ["", "a/#/b", "a#", "a/b+"] {
            assert!(of(wrong).is_err_and(|why| why.contains("is no filter")), "{wrong}");
        }
    }
}
