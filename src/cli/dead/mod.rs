//! `floorgate dead`: postings that need a person, and the way out.
//!
//! What several of its verbs do is here, each verb that reads in a file of its own, and those that change something together in
//! `decide`.

mod audit;
mod decide;
mod filter;
mod list;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{age, ago, clean, line, quoted, without_control};
use crate::cli::trouble::{late, reach};
use crate::event::Millis;
use crate::lane::{Act, Change};
use crate::outbox::read::Bounds;
use crate::outbox::read::parked::{self, Asked, Deed, Need, Whose};
use crate::outbox::read::wanted::Wanted;

use decide::{Do, Edit, Resolve};

/// Show what needs a person, and do it.
///
/// A posting that the target rejected, or of which nobody knows whether it is there, waits for a person, and the later ones of
/// its subject wait behind it. `list` and `show` read the outbox, beside a running gateway or without one; the others ask the
/// gateway, say why, and stand in the audit under the name of the user who runs them.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    List(list::Args),
    Show(show::Args),
    /// Send it again under its key: what was wrong is mended at the target
    ///
    /// Only what surely had no effect; the same content goes under the same key. A held one is released.
    #[command(after_help = RETRY)]
    Retry(Do),
    /// Send it corrected, in its place: what was refused was wrong on the floor
    ///
    /// Only what surely had no effect. The members of its data that are named are changed; it goes under a key of its own, before
    /// its successors, and says which event it corrects.
    #[command(after_help = EDIT)]
    Edit(Edit),
    /// Send it under a new key: it is not at the target, two persons say so
    ///
    /// For what may have had effect and was looked for in vain. The first command is noted, the same of another user within a
    /// day carries it out.
    #[command(after_help = REPOST)]
    Repost(Do),
    /// It is there: booked by hand, or by an attempt that nobody heard of again
    ///
    /// With the number of its document at the target; one posting a command, since a number names one.
    #[command(after_help = RESOLVE)]
    Resolve(Resolve),
    /// Never send it, and let its successors go on
    #[command(after_help = SKIP)]
    Skip(Do),
    Audit(audit::Args),
}

const EDIT: &str = "\
Examples:
  floorgate dead edit SH-88121 --set /qty=3 --reason 'one piece is broken'
  floorgate dead edit '#4711' --add /lot=L77 --unset /serials --reason 'wrong lot label'";

const REPOST: &str = "\
Examples:
  floorgate dead repost 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reason 'no document of it in the ERP'";

const RESOLVE: &str = "\
Examples:
  floorgate dead resolve 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reference GI-4711 --reason 'found in the ERP'";

const SKIP: &str = "\
Examples:
  floorgate dead skip 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reason 'test carton'";

const RETRY: &str = "\
Examples:
  floorgate dead retry 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reason 'hold on SO-10077 cleared'
  floorgate dead retry SH-88121 --reason 'hold cleared'
  floorgate dead retry --all --code unknown_item --reason 'item A-100 created' --yes";

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::List(args) => list::run(args),
        Verb::Show(args) => show::run(args),
        Verb::Retry(args) => decide::act(Act::Retry, args, None, Vec::new()),
        Verb::Edit(args) => {
            let out = args.unset.iter().map(|pointer| Change {
                pointer: pointer.clone(),
                value: None,
                typed: None,
                new: false,
            });
            let added = args.add.iter().map(|change| Change { new: true, ..change.clone() });
            decide::act(Act::Edit, &args.what, None, args.set.iter().cloned().chain(added).chain(out).collect())
        }
        Verb::Repost(args) => decide::act(Act::Repost, args, None, Vec::new()),
        Verb::Resolve(args) => decide::act(Act::Resolve, &args.what, Some(args.reference.clone()), Vec::new()),
        Verb::Skip(args) => decide::act(Act::Skip, args, None, Vec::new()),
        Verb::Audit(args) => audit::run(args),
    }
}

/// Where it is looked, what needs a person there, and now.
fn needs(place: &Place) -> Result<(PathBuf, Vec<Need>, Millis), (String, Exit)> {
    let (dir, bounds) = bounded(place)?;
    let now = crate::source::now().wall;
    let needs = parked::needs(&dir, bounds.as_ref(), now).map_err(|e| (e.to_string(), Exit::Storage))?;
    Ok((dir, needs, now))
}

/// Where it is looked, and who looks after what there.
fn bounded(place: &Place) -> Result<(PathBuf, Option<Bounds>), (String, Exit)> {
    let (dir, bounds) = place.find().map_err(|why| (why, Exit::Config))?;
    let (bounds, _) = super::beside(&dir, bounds, place);
    Ok((dir, bounds))
}

/// What is wrong, in a `sentence` of so many characters as its reader wants, and what may be done about it.
fn entry(text: &mut String, sentence: &str, need: &Need, now: Millis) {
    let Need { key, seq, lane, opened_at, at, may, whose, asked, .. } = need;
    let Whose { category, owner, contact, escalate, lateness } = whose;
    let (category, opened, late) = (category.name(), ago(*opened_at, now), late(lateness));
    let again = if at > opened_at { format!(", again {}", ago(*at, now)) } else { String::new() };
    line(text, sentence);
    line(text, &format!("  {category}, {opened}{late}{again}, for {owner}; {lane} #{seq}"));
    reach(text, "", contact.as_deref(), escalate.as_deref());
    if let Some(Asked { by, at, until }) = asked {
        let (by, at, until) = (clean(by), ago(*at, now), age(now.0, Millis(*until)));
        line(text, &format!("  {by} asked for `repost` {at}: another user's `repost` within {until} sends it"));
    }
    line(text, &format!("  key {key}; you may {}", may.join(", ")));
}

/// Why a word names none of them.
fn nothing_of(word: &str) -> String {
    let (word, quoted) = (clean(word), quoted(word));
    format!("nothing of {word} needs a person: `floorgate outbox find {quoted}` tells where it is")
}

/// The ones that a word names: a number, a key, a subject with its class or without, or a barcode of it.
fn named<'a>(needs: &'a [Need], word: &str) -> Vec<&'a Need> {
    let whole: Vec<&Need> = needs.iter().filter(|need| need.subject == word).collect();
    if !whole.is_empty() {
        return whole;
    }
    let wanted = Wanted::parse(word);
    needs.iter().filter(|need| need.is(&wanted)).collect()
}

fn deed_line(text: &mut String, deed: &Deed, now: Millis) {
    let Deed { at, actor, act, reason, outcome, .. } = deed;
    line(
        text,
        &format!(
            "  {}: {}: {}: {}: {}",
            ago(*at, now),
            clean(actor),
            clean(act),
            clean(reason),
            without_control(outcome)
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_person_has_asked_for_waits_for_another() {
        let now = Millis(1_763_906_709_412);
        let asked = Asked { by: "anna".to_owned(), at: now.0 - 300_000, until: now.0 + 82_800_000 };
        let mut text = String::new();
        let mut need = Need::example(7, "SH-1", &["repost"]);
        need.asked = Some(asked);
        entry(&mut text, &need.sentence, &need, now);
        let line = "\n  anna asked for `repost` 5 min ago: another user's `repost` within 23 h sends it\n  key ";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_word_is_a_number_a_key_a_barcode_or_a_subject_and_no_part_of_one() {
        let sscc = "395212345000000125";
        let of = ["stock/A-100/Z1", "stock/Z1", "Z1", "shipment/SH-1", sscc];
        let needs: Vec<Need> = (1..).zip(of).map(|(seq, subject)| Need::example(seq, subject, &[])).collect();
        let key = needs[3].key.clone();
        for (word, is) in [
            ("#4", &[4][..]),
            (&key, &[4]),
            (&key.to_uppercase().replace('-', ""), &[4]),
            ("SH-1", &[4]),
            ("shipment/SH-1", &[4]),
            ("1", &[]),
            ("Z1", &[3]),
            ("stock/Z1", &[2]),
            ("A-100/Z1", &[1]),
            (&format!("]C100{sscc}"), &[5]),
            (&format!("(00) {sscc}"), &[5]),
        ] {
            let found: Vec<i64> = named(&needs, word).iter().map(|need| need.seq).collect();
            assert_eq!(found, is, "{word}");
        }
        let found: Vec<i64> = named(&needs[..2], "Z1").iter().map(|need| need.seq).collect();
        assert_eq!(found, [2], "not the place of that name that another item lies at");
    }
}
