//! What a person does with a posting that does not go on by itself, and when that is safe (docs/support.md, "The way out").

use serde::{Deserialize, Serialize};

use crate::lane::Class;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Send it again under its key, with the same content: the reason was mended at the target. A held one: send it at all.
    Retry,
    /// Send it corrected, in its place, under a key of its own: what was refused was wrong on the floor.
    Edit,
    /// Send it under a new key: it was looked up, and is not there. Two persons say so.
    Repost,
    /// It is there: booked by hand, or by an attempt that nobody heard of again.
    Resolve,
    /// Never send it: its successors go on.
    Skip,
}

impl Act {
    /// The word for it, on the command line and in the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Edit => "edit",
            Self::Repost => "repost",
            Self::Resolve => "resolve",
            Self::Skip => "skip",
        }
    }
}

/// Why a posting does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    /// It was never sent: a repeat that can't be told from a second scan.
    Held,
    /// It was rejected, or nobody knows.
    Rejected {
        /// As what.
        class: Class,
        /// An attempt may have had effect.
        maybe: bool,
    },
}

impl Parked {
    /// The class that it was rejected as, or `held`.
    pub fn class(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Rejected { class, .. } => class.name(),
        }
    }
}

/// What the posting is after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// In line, under its key.
    Ready,
    /// In line with other content, under a key of its own.
    Corrected,
    /// In line with the same content, under the key of its next revision.
    Revised,
    /// As it is, until a second person says the same.
    Asked,
    /// At its end: the effect is there.
    Delivered,
    /// At its end without an effect.
    Skipped,
}

/// What becomes of the posting, or why it may not be done: a sentence that says what to do instead. `seconded`: another
/// person has asked for the same.
///
/// # Errors
/// Where it could make a second document, or none at all without anybody having said so.
pub fn decide(act: Act, parked: Parked, seconded: bool) -> Result<Becomes, String> {
    let open = match parked {
        Parked::Held => None,
        Parked::Rejected { class, maybe } => {
            Some((class, maybe || matches!(class, Class::KeyClash | Class::Unresolvable)))
        }
    };
    match (act, open) {
        (Act::Skip, _) => Ok(Becomes::Skipped),
        (Act::Resolve, None) => {
            Err("it was never sent, so that it can't be there: `retry` sends it, `skip` drops it".to_owned())
        }
        (Act::Resolve, Some(_)) => Ok(Becomes::Delivered),
        (Act::Retry | Act::Edit | Act::Repost, Some((Class::Corrupt, true))) => Err(
            "its stored content is damaged and can't be sent, and an attempt may have had effect: look in the target; \
                 `resolve` it if it is there; if it is not, book it by hand and `resolve` it, or `skip` it"
                .to_owned(),
        ),
        (Act::Retry | Act::Edit | Act::Repost, Some((Class::Corrupt, false))) => {
            Err("its stored content is damaged and can't be sent: book it by hand and `resolve` it, or `skip` it"
                .to_owned())
        }
        (Act::Retry, Some((Class::KeyClash, _))) => {
            Err("the target knows its key with other content, and would say so again: \
             compare the two; `resolve` it if the document is right, or `repost` it under a new key"
                .to_owned())
        }
        (Act::Edit, None) => {
            Err("it was never sent, and nobody has refused its content: `retry` sends it, `skip` drops it".to_owned())
        }
        (Act::Retry | Act::Edit, Some((_, true))) => {
            Err("an attempt may have had effect, and sending it again could post it twice: look in the \
             target; `resolve` it if it is there, `repost` it if it is not"
                .to_owned())
        }
        (Act::Retry, None | Some((_, false))) => Ok(Becomes::Ready),
        (Act::Edit, Some((_, false))) => Ok(Becomes::Corrected),
        (Act::Repost, None | Some((_, false))) => {
            Err("it surely had no effect, so that its key can be used again: `retry` it".to_owned())
        }
        (Act::Repost, Some((_, true))) => Ok(if seconded { Becomes::Revised } else { Becomes::Asked }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(class: Class, maybe: bool) -> Parked {
        Parked::Rejected { class, maybe }
    }

    #[test]
    fn what_may_have_had_effect_is_never_sent_again_by_one_person() {
        for parked in [
            rejected(Class::Unresolvable, true),
            rejected(Class::Validation, true),
            rejected(Class::KeyClash, false),
            rejected(Class::Unresolvable, false),
        ] {
            for act in [Act::Retry, Act::Edit] {
                let refused = decide(act, parked, true).expect_err("not under the same key");
                assert!(refused.contains("`resolve` it"), "{refused}");
            }
            assert_eq!(decide(Act::Repost, parked, false), Ok(Becomes::Asked));
            assert_eq!(decide(Act::Repost, parked, true), Ok(Becomes::Revised));
            assert_eq!(decide(Act::Resolve, parked, false), Ok(Becomes::Delivered));
        }
    }

    #[test]
    fn what_surely_had_no_effect_keeps_its_key() {
        for class in [Class::Validation, Class::Reference, Class::Conflict] {
            assert_eq!(decide(Act::Retry, rejected(class, false), false), Ok(Becomes::Ready));
            assert_eq!(decide(Act::Edit, rejected(class, false), false), Ok(Becomes::Corrected));
            assert!(decide(Act::Repost, rejected(class, false), true).is_err());
        }
    }

    #[test]
    fn what_was_held_was_never_sent() {
        assert_eq!(decide(Act::Retry, Parked::Held, false), Ok(Becomes::Ready));
        assert!(decide(Act::Resolve, Parked::Held, false).is_err());
        assert!(decide(Act::Edit, Parked::Held, false).is_err());
        assert!(decide(Act::Repost, Parked::Held, true).is_err());
    }

    #[test]
    fn what_is_damaged_is_never_sent_and_anything_can_be_skipped() {
        assert!(decide(Act::Retry, rejected(Class::Corrupt, false), false).is_err());
        assert!(decide(Act::Repost, rejected(Class::Corrupt, true), true).is_err());
        for parked in [Parked::Held, rejected(Class::Corrupt, true), rejected(Class::KeyClash, true)] {
            assert_eq!(decide(Act::Skip, parked, false), Ok(Becomes::Skipped));
        }
    }
}
