//! The second part of the checklist: what posts the `sample` under new keys, on a test system.

use std::slice::from_ref;

use serde_json::{Value, json};

use super::judge::{self, Found, Item, Status};
use super::run::{Booked, Left, Outcome, Run};
use super::talk::{Ask, Posted};
use crate::event::Id;
use crate::lane::{Format, Posting, RENDERER, fingerprint, render};
use crate::target::Heard;

/// What no endpoint books.
const STRANGE: &str = "floorgate_probe";

/// The request that the gateway would send.
pub(super) fn batch(items: &[Posting]) -> Ask {
    let format = Format::JsonArray { wrap: Some("events".to_owned()) };
    let keys: Vec<Id> = items.iter().map(|item| item.key).collect();
    Ask::events(render(RENDERER, &format, items), &keys)
}

/// The same, its items edited.
fn edited(items: &[Posting], edit: impl Fn(&mut Value)) -> Ask {
    let format = Format::JsonArray { wrap: Some("events".to_owned()) };
    let mut body: Value = serde_json::from_slice(&render(RENDERER, &format, items)).expect("the renderer writes JSON");
    edit(&mut body);
    let keys: Vec<Id> = items.iter().map(|item| item.key).collect();
    Ask::events(body.to_string().into_bytes(), &keys)
}

pub(super) fn is(posted: &Posted, wanted: &[(Status, &str)]) -> Result<(), String> {
    for (nth, (item, (status, reason))) in posted.items.iter().zip(wanted).enumerate() {
        let of = if wanted.len() == 1 { String::new() } else { format!("item {}: ", nth + 1) };
        item.is(*status, reason).map_err(|why| format!("{of}{why}"))?;
    }
    Ok(())
}

/// A known key again: `duplicate`; or, where the batch may have been a job, the results that this job had.
pub(super) fn known(item: &Item, reference: &str, job: bool) -> Result<(), String> {
    if !(job && item.status == Status::Posted) {
        item.is(Status::Duplicate, "")?;
    }
    if item.reference == reference {
        return Ok(());
    }
    Err(format!("its reference is {}, and was {reference} the first time", item.reference))
}

/// It says `accepted`: another request with this key decides.
fn accepts(heard: &Heard, item: &Posting) -> bool {
    let items = judge::json(heard, 200).and_then(|body| judge::results(&body, &[item.key.to_string()]));
    items.is_ok_and(|items| items[0].status == Status::Accepted)
}

impl Run {
    /// A check of the second part.
    pub(super) async fn posts(&mut self, name: &str) -> Outcome {
        match name {
            "unknown-type" => self.unknown_type().await,
            "post" => self.post_one().await,
            "repeat" => self.repeat().await,
            "regroup" => self.regroup().await,
            "key-clash" => self.key_clash().await,
            "partial" => self.partial().await,
            "free-key" => self.free_key().await,
            "order" => self.order().await,
            "race" => self.race().await,
            "broken-off" => self.broken_off().await,
            "unknown-members" => self.unknown_members().await,
            "too-many" => self.too_many().await,
            "full-batch" => self.full_batch().await,
            "gzip" => self.gzip().await,
            "job" => self.job().await,
            _ => unreachable!("{name} is no check of this part of the page"),
        }
    }

    async fn looks(&mut self, key: Id, reference: &str, print: &str) -> Result<(), String> {
        let wanted = Found::Present { reference: reference.to_owned(), fingerprint: print.to_owned() };
        let found = self.talk.lookup(&[key]).await?.remove(0);
        match &found {
            _ if found == wanted => Ok(()),
            Found::Present { reference: other, .. } if other != reference => {
                Err(format!("lookup says the reference {other}, the answer said {reference}"))
            }
            Found::Present { fingerprint, .. } => {
                Err(format!("lookup says the fingerprint {fingerprint}, the item came with {print}"))
            }
            other => Err(format!("it was answered posted, and lookup says {}", other.word())),
        }
    }

    async fn is_absent(&mut self, key: Id) -> Result<(), String> {
        match self.talk.lookup(&[key]).await?.remove(0) {
            Found::Absent => Ok(()),
            other => Err(format!("it was refused, and lookup says {}", other.word())),
        }
    }

    async fn unknown_type(&mut self) -> Outcome {
        let item = Posting { tx_type: STRANGE.to_owned(), ..self.fresh() };
        let posted = self.talk.post(&batch(from_ref(&item))).await?;
        is(&posted, &[(Status::Rejected, "unknown_tx_type")])?;
        self.is_absent(item.key).await?;
        self.refused = Some(item);
        Ok(None)
    }

    /// The item of `post`, which other checks send again.
    async fn booked(&mut self) -> Result<Booked, String> {
        if let Some(booked) = &self.posted {
            return Ok(booked.clone());
        }
        let item = self.fresh();
        let ask = batch(from_ref(&item));
        let posted = self.talk.post(&ask).await?;
        is(&posted, &[(Status::Posted, "")])?;
        let booked = Booked { item, ask, reference: posted.items[0].reference.clone(), job: posted.job };
        self.posted = Some(booked.clone());
        Ok(booked)
    }

    async fn post_one(&mut self) -> Outcome {
        let booked = self.booked().await?;
        self.looks(booked.item.key, &booked.reference, &fingerprint(&booked.item)).await?;
        Ok(None)
    }

    async fn repeat(&mut self) -> Outcome {
        let booked = self.booked().await?;
        let posted = self.talk.post(&booked.ask).await?;
        known(&posted.items[0], &booked.reference, booked.job.is_some())?;
        Ok(None)
    }

    async fn regroup(&mut self) -> Outcome {
        if self.discovery.max_batch < 2 {
            return Left::because("max_batch is less than 2");
        }
        let booked = self.booked().await?;
        let items = [booked.item.clone(), self.fresh()];
        let posted = self.talk.post(&batch(&items)).await?;
        known(&posted.items[0], &booked.reference, false)?;
        posted.items[1].is(Status::Posted, "").map_err(|why| format!("the new item: {why}"))?;
        Ok(None)
    }

    async fn key_clash(&mut self) -> Outcome {
        let booked = self.booked().await?;
        let other = Posting { occurred_at: booked.item.occurred_at.plus(1_000), ..booked.item.clone() };
        let posted = self.talk.post(&batch(&[other])).await?;
        is(&posted, &[(Status::Rejected, "key_reused")])?;
        self.looks(booked.item.key, &booked.reference, &fingerprint(&booked.item)).await?;
        Ok(None)
    }

    async fn partial(&mut self) -> Outcome {
        if self.discovery.max_batch < 3 {
            return Left::because("max_batch is less than 3");
        }
        let items = [self.fresh(), self.fresh(), self.fresh()];
        let ask = edited(&items, |body| {
            body.pointer_mut("/events/1").and_then(Value::as_object_mut).map(|item| item.remove("data"));
        });
        let posted = self.talk.post(&ask).await?;
        is(&posted, &[(Status::Posted, ""), (Status::Rejected, "malformed"), (Status::Posted, "")])?;
        for nth in [0, 2] {
            let reference = posted.items[nth].reference.clone();
            self.looks(items[nth].key, &reference, &fingerprint(&items[nth])).await?;
        }
        self.is_absent(items[1].key).await?;
        Ok(None)
    }

    async fn free_key(&mut self) -> Outcome {
        if self.refused.is_none() {
            self.unknown_type().await?;
        }
        let Some(refused) = self.refused.take() else { return Left::because("no key was refused") };
        let item = Posting { tx_type: self.sample_type(), ..refused };
        let posted = self.talk.post(&batch(&[item])).await?;
        is(&posted, &[(Status::Posted, "")])?;
        Ok(None)
    }

    async fn order(&mut self) -> Outcome {
        if !self.discovery.ordered_batch {
            return Left::because("ordered_batch is false");
        }
        if self.discovery.max_batch < 3 {
            return Left::because("max_batch is less than 3");
        }
        let bad = Posting { tx_type: STRANGE.to_owned(), ..self.fresh() };
        let blocked = Posting { order_key: bad.order_key.clone(), ..self.fresh() };
        let items = [bad, blocked.clone(), self.fresh()];
        let posted = self.talk.post(&batch(&items)).await?;
        is(&posted, &[(Status::Rejected, ""), (Status::Retry, "lane_blocked"), (Status::Posted, "")])?;
        self.is_absent(blocked.key).await?;
        let posted = self.talk.post(&batch(from_ref(&blocked))).await?;
        is(&posted, &[(Status::Posted, "")]).map_err(|why| format!("the blocked one alone: {why}"))?;
        // Refused, it would be said to have no effect.
        let bad = Posting { tx_type: STRANGE.to_owned(), order_key: blocked.order_key.clone(), ..self.fresh() };
        let posted = self.talk.post(&batch(&[bad, blocked])).await?;
        is(&posted, &[(Status::Rejected, ""), (Status::Duplicate, "")])
            .map_err(|why| format!("a booked one behind a bad one of its lane: {why}"))?;
        Ok(None)
    }

    async fn race(&mut self) -> Outcome {
        let item = self.fresh();
        let ask = batch(from_ref(&item));
        let mut came: Vec<Posted> = Vec::new();
        for heard in self.talk.both(&ask).await? {
            if heard.status == 409 {
                judge::problem(&heard, 409, "outstanding")?;
            } else if heard.status == 202 || !accepts(&heard, &item) {
                came.push(self.talk.answered(&ask, heard).await?);
            }
        }
        // Two requests may be given one job, whose results are then one answer.
        if let [Posted { job: Some(one), .. }, Posted { job: Some(other), .. }] = came.as_slice()
            && one == other
        {
            came.pop();
        }
        let items: Vec<&Item> = came.iter().flat_map(|posted| &posted.items).collect();
        let count = |status| items.iter().filter(|item| item.status == status).count();
        if count(Status::Posted) > 1 {
            return Err("both requests are answered posted: two effects of one key".to_owned());
        }
        if items.len() > 1 && count(Status::Duplicate) > 1 {
            return Err(
                "both requests are answered duplicate, and the key is a new one: nobody has posted it".to_owned()
            );
        }
        if let Some(other) = items.iter().find(|item| !matches!(item.status, Status::Posted | Status::Duplicate)) {
            return Err(format!("one of two requests at once is answered {}", other.words()));
        }
        let Found::Present { reference, .. } = self.talk.settled(item.key).await? else {
            return Err("two requests at once with a good item, and lookup says absent".to_owned());
        };
        match items.iter().find(|item| item.reference != reference) {
            Some(other) => {
                Err(format!("one was answered with the reference {}, lookup says {reference}", other.reference))
            }
            None => Ok(None),
        }
    }

    async fn unknown_members(&mut self) -> Outcome {
        let item = self.fresh();
        let ask = edited(&[item], |body| {
            body["floorgate_probe"] = json!({ "any": [1, "thing"] });
            body["events"][0]["floorgate_probe"] = json!("unknown");
            body["events"][0]["data"]["floorgate_probe"] = json!(null);
        });
        let posted = self.talk.post(&ask).await?;
        is(&posted, &[(Status::Posted, "")])?;
        Ok(None)
    }

    async fn too_many(&mut self) -> Outcome {
        if self.discovery.max_batch == 0 {
            return Left::because("discovery does not say max_batch");
        }
        let items: Vec<Posting> = (0..=self.discovery.max_batch).map(|_| self.fresh()).collect();
        let heard = self.talk.hear(&batch(&items)).await?;
        judge::problem(&heard, 413, "too_large")?;
        for item in [items.first(), items.last()].into_iter().flatten() {
            self.is_absent(item.key).await?;
        }
        Ok(None)
    }

    async fn full_batch(&mut self) -> Outcome {
        if self.discovery.max_batch == 0 {
            return Left::because("discovery does not say max_batch");
        }
        let items: Vec<Posting> = (0..self.discovery.max_batch).map(|_| self.fresh()).collect();
        let ask = batch(&items);
        let posted = self.talk.post(&ask).await?;
        let booked = posted.items.iter().filter(|item| item.status == Status::Posted).count();
        if booked == 0 {
            let word = posted.items.first().map(Item::words).unwrap_or_default();
            return Err(format!("none of {} items was posted, the first is {word}", items.len()));
        }
        Ok((booked < items.len()).then(|| Left::Noted(format!("{booked} of {} were posted", items.len()))))
    }

    async fn gzip(&mut self) -> Outcome {
        if !self.discovery.gzip {
            return Left::because("gzip is false");
        }
        let item = self.fresh();
        let posted = self.talk.post(&Ask { gzip: true, ..batch(&[item]) }).await?;
        is(&posted, &[(Status::Posted, "")])?;
        Ok(None)
    }

    async fn job(&mut self) -> Outcome {
        let Some((url, first)) = self.talk.job.clone() else { return Left::because("no answer was a 202") };
        let heard = self.talk.job(&url).await?;
        if !self.discovery.jobs {
            return Err("an answer was a 202, and discovery says that there are no jobs".to_owned());
        }
        match judge::job(&heard, 200)? {
            Some(again) if again["results"] == first["results"] => Ok(None),
            Some(_) => Err("asked again, the job's results are others".to_owned()),
            None => Err("the job was done, and asked again it is at work".to_owned()),
        }
    }
}
