//! What a person does about a system, or a lane, whose last answer keeps it from going on.

use super::{Class, Outcome};

/// What helps where an answer, or that none came, says `class` of all rows of a request, in these `words`. `status`: of HTTP, where
/// an answer came. `None`: what keeps single rows is told with them.
pub fn advice(class: Class, status: Option<u16>, words: &str) -> Option<&'static str> {
    Some(match (class, status) {
        (Class::Transient, None) => {
            "look whether the ERP runs, and at the network, the name and the proxy on the way to it; it goes on by itself"
        }
        (Class::Throttled, _) => {
            "nothing: less is sent, and all of it goes by itself; `floorgate release system NAME` ends a wait that was asked for by \
             mistake"
        }
        (Class::Auth, _) => {
            "correct the file with the secret (it is read anew for each request), or the gateway's rights at the ERP; nothing \
             is restarted"
        }
        (Class::Contract, Some(300..400)) => {
            "look who redirects: the ERP, then write its new address into the target's `url` and restart the gateway; or a proxy \
             with a login page"
        }
        (Class::Contract, Some(404 | 405)) => {
            "correct the target's `url` and restart the gateway, or have the endpoint put where that points"
        }
        (Class::Contract, Some(415)) => {
            "have the endpoint take the Content-Type that `batch.format` makes, or change `batch.format`"
        }
        (Class::Contract, _) => {
            "have the endpoint take what is sent, or correct the target's `url` and restart the gateway"
        }
        (Class::Unknown, None) => {
            "look why the ERP is slow, or what on the way cuts connections; the same bytes go again by themselves"
        }
        (Class::Unknown, _) if words.starts_with(Outcome::ODD_STATUS) => {
            "have the ERP team answer each item with a word of the contract, or say in the target's `classify` what theirs means"
        }
        (Class::Unknown, Some(200..300)) => {
            "look what came: a web page is of a proxy, a login page or a wrong `url`; anything else without results, of an \
             endpoint that the target's `answers` do not fit"
        }
        (Class::Transient, Some(200..300)) => return None, // each item's own `retry`
        (Class::Unknown, Some(409 | 412)) => "ask the ERP team what conflicts there",
        (Class::Transient | Class::Unknown, Some(503)) => {
            "ask the ERP team whether it is maintenance, and until when; it goes on by itself"
        }
        (Class::Transient | Class::Unknown, _) => "ask the ERP team for the error in its log; it goes on by itself",
        _ => return None,
    })
}

/// What is left of that while a person holds it: nothing goes by itself.
pub fn while_held(help: &str) -> &str {
    if help.starts_with("nothing: ") {
        return "nothing: it asks for fewer requests";
    }
    let goes = ["; it goes on by itself", "; the same bytes go again by themselves"];
    goes.into_iter().find_map(|goes| help.strip_suffix(goes)).unwrap_or(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_held_is_said_to_go_by_itself() {
        let mut changed = 0;
        for class in [Class::Transient, Class::Throttled, Class::Auth, Class::Contract, Class::Unknown] {
            for status in [None].into_iter().chain((100..600).map(Some)) {
                let Some(help) = advice(class, status, "") else { continue };
                let held = while_held(help);
                assert!(!held.contains("itself") && !held.contains("themselves") && held.len() > 20, "{held}");
                changed += i32::from(held != help);
            }
        }
        assert!(changed > 0, "some of it goes by itself otherwise");
    }

    #[test]
    fn whoever_is_woken_by_an_odd_answer_is_told_where_to_look() {
        let told = |class, status| advice(class, status, "").unwrap_or_default();
        assert!(told(Class::Unknown, Some(200)).contains("a login page or a wrong `url`"));
        assert!(told(Class::Contract, Some(302)).contains("who redirects"));
        assert!(told(Class::Contract, Some(415)).contains("`batch.format`"));
        assert!(told(Class::Unknown, Some(503)).contains("maintenance"));
        assert!(told(Class::Unknown, None).contains("slow"));
        assert!(told(Class::Auth, Some(401)).contains("read anew for each request"));
        assert_eq!(advice(Class::Validation, Some(200), ""), None, "that is told with its row");
        assert_eq!(advice(Class::Transient, Some(200), ""), None, "and so is an item that is to come again");
        let odd = format!("{}\"banana\"", Outcome::ODD_STATUS);
        let odd = advice(Class::Unknown, Some(200), &odd).unwrap_or_default();
        assert!(odd.contains("the ERP team") && !odd.contains("web page"), "{odd}");
    }
}
