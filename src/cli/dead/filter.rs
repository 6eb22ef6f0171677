//! Which of those that need a person are meant.

use std::path::Path;

use clap::builder::PossibleValuesParser;

use crate::cli::place::Place;
use crate::cli::trouble::Wide;
use crate::form::there_is_no;
use crate::lane::{Category, Class};
use crate::outbox::read::names;
use crate::outbox::read::parked::Need;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only of this lane
    #[arg(long, value_name = "ID")]
    pub(super) lane: Option<String>,
    /// Only of this class: validation, unresolvable, held …
    #[arg(long, value_name = "CLASS", value_parser = class)]
    pub(super) class: Option<String>,
    /// Only of this category: shipment_blocked, duplicate_suspect …
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Category::ALL.map(Category::name)))]
    pub(super) category: Option<String>,
    /// Only with this word of the target for the reason: unknown_item …
    #[arg(long, value_name = "WORD")]
    pub(super) code: Option<String>,
}

fn class(text: &str) -> Result<String, String> {
    let known = text == "held" || Class::parse(text).is_some_and(|class| !class.has_effect());
    known.then(|| text.to_owned()).ok_or_else(|| {
        let most = ["validation", "reference", "conflict", "key_clash", "unresolvable", "poison", "corrupt"];
        format!("write held, or a class of an answer: {}", most.join(", "))
    })
}

impl Filter {
    /// Why nothing can fit: neither the outbox nor the configuration knows the lane.
    pub(super) fn unknown_lane(&self, place: &Place, dir: &Path) -> Option<String> {
        let lane = self.lane.as_ref()?;
        let mut known = names::lanes(dir).ok()?;
        if !known.contains(lane) {
            known.extend(place.configured().into_iter().flat_map(|config| config.lanes).map(|lane| lane.id));
        }
        (!known.contains(lane)).then(|| there_is_no("lane", lane, &known))
    }

    /// That nothing is left of so many.
    pub(super) fn none_of(all: usize) -> String {
        match all {
            0 => "nothing needs a person".to_owned(),
            1 => "the one that needs a person is another than was asked for: `floorgate dead list` shows it".to_owned(),
            n => format!("of {n} that need a person none is as was asked for: `floorgate dead list` shows them"),
        }
    }

    /// Whether what keeps these lanes is meant; a hold is of no class or category.
    pub(super) fn takes_wide(&self, wide: Option<&Wide>, lanes: &[String]) -> bool {
        is(self.class.as_ref(), wide.map_or("", |wide| wide.class().name()))
            && is(self.category.as_ref(), wide.map_or("", |wide| wide.category().name()))
            && self.code.is_none()
            && (self.lane.is_none() || lanes.iter().any(|lane| is(self.lane.as_ref(), lane)))
    }

    pub(super) fn takes(&self, need: &Need) -> bool {
        is(self.lane.as_ref(), &need.lane)
            && is(self.class.as_ref(), &need.class)
            && is(self.category.as_ref(), need.whose.category.name())
            && is(self.code.as_ref(), need.code.as_deref().unwrap_or_default())
    }
}

/// It is what was asked for, if anything was.
fn is(asked: Option<&String>, has: &str) -> bool {
    asked.is_none_or(|asked| asked == has)
}
