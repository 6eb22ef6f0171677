//! The checklist of docs/erp-contract.md, "What is checked", in its order and its words.

/// Where the page is.
pub(super) const PAGE: &str = "docs/erp-contract.md";

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Posts, so on a test system only.
    pub(super) posts: bool,
    /// The section of the page that says what is right.
    pub(super) section: &'static str,
    pub(super) wants: &'static str,
}

const fn row(name: &'static str, posts: bool, section: &'static str, wants: &'static str) -> Row {
    Row { name, posts, section, wants }
}

pub(super) const ROWS: [Row; 26] = [
    row("discovery", false, "discovery", "200, all members of the table, version 1 among them"),
    row("wrong-credentials", false, "errors-of-a-whole-request", "401, problem unauthorized"),
    row("lookup-absent", false, "lookup", "200, one result, absent"),
    row("lookup-many", false, "lookup", "200, one result for each key"),
    row("lookup-too-many", false, "errors-of-a-whole-request", "413 too_large"),
    row("lookup-bad-key", false, "lookup", "400 malformed"),
    row("empty-batch", false, "posting", "200, no results"),
    row("bad-body", false, "errors-of-a-whole-request", "400 malformed"),
    row("wrong-media", false, "errors-of-a-whole-request", "415 unsupported_media"),
    row("other-version", false, "versions", "400 unsupported_version with `versions`"),
    row("unknown-job", false, "answering-later", "404 unknown_job"),
    row("unknown-type", true, "reasons", "rejected, unknown_tx_type; then lookup absent"),
    row(
        "post",
        true,
        "the-answer",
        "posted with a reference; then lookup present, the same reference, its fingerprint",
    ),
    row("repeat", true, "again-and-again", "duplicate, the same reference"),
    row("regroup", true, "again-and-again", "duplicate and posted"),
    row("key-clash", true, "reasons", "rejected, key_reused; lookup still has the first fingerprint"),
    row("partial", true, "the-answer", "posted; rejected, malformed; posted; a lookup agrees"),
    row("free-key", true, "the-answer", "posted: a refused key stays free"),
    row(
        "order",
        true,
        "order",
        "rejected; retry, lane_blocked; posted; then the blocked one alone: posted; then it behind a bad one: duplicate",
    ),
    row("race", true, "again-and-again", "posted once; the other duplicate, accepted, or 409 outstanding"),
    row(
        "broken-off",
        true,
        "lookup",
        "the answers agree: present and then duplicate, or absent after settle_delay_s and then posted",
    ),
    row("unknown-members", true, "an-item", "posted: members that nobody knows are ignored"),
    row("too-many", true, "errors-of-a-whole-request", "413 too_large; a lookup of some of them: absent"),
    row("full-batch", true, "posting", "one result for each, some of them posted"),
    row("gzip", true, "request-headers", "posted"),
    row("job", true, "answering-later", "results as of a direct answer; asked again, the same"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../../docs/erp-contract.md");

    /// The rows of the page's table, with whether they stand in its second part.
    fn listed() -> Vec<(String, bool)> {
        let (_, list) = TEXT.split_once("| check | sends | wants |").unwrap();
        let rows = list.lines().skip(2).take_while(|line| line.starts_with('|'));
        let mut posts = false;
        let mut listed = Vec::new();
        for line in rows {
            posts |= line.contains("**on a test system**");
            if let Some(name) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
                listed.push((name.to_owned(), posts));
            }
        }
        listed
    }

    #[test]
    fn the_configuration_of_the_page_is_whole() {
        let (_, block) = TEXT.split_once("```toml\n[site]").expect("the page has one");
        let (block, _) = block.split_once("```").expect("it ends");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("gateway.toml");
        std::fs::write(&path, format!("[site]{block}")).expect("it can be written");
        std::fs::write(dir.path().join("erp.token"), "secret").expect("it can be written");
        let config = crate::config::load(&path).expect("nothing is missing");
        assert_eq!(config.targets[0].id, "erp");
    }

    #[test]
    fn the_checklist_is_the_pages_own() {
        let rows: Vec<(String, bool)> = ROWS.iter().map(|row| (row.name.to_owned(), row.posts)).collect();
        assert_eq!(rows, listed());
    }

    #[test]
    fn each_check_names_a_section_of_the_page() {
        let headings = TEXT.lines().filter_map(|line| line.strip_prefix("##")).map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            words.replace(' ', "-").replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "")
        });
        let headings: Vec<String> = headings.collect();
        for row in &ROWS {
            assert!(headings.iter().any(|heading| heading == row.section), "{}: {headings:?}", row.section);
        }
    }
}
