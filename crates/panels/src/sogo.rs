//! SOGo's rules, said in Sieve: what they hide or destroy is then judged like any script. SOGo writes them into its own
//! script whenever the user saves anything. What forwards, announces or answers is told from the profile itself.

use std::collections::BTreeSet;

use serde_json::Value;

/// Most rules of one user.
const MAX_RULES: usize = 2000;

/// The rules of a profile that are in force, those that are switched off, and whether some of it was not understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) active: String,
    pub(crate) off: String,
    pub(crate) is_partial: bool,
}

/// The rules of `c_defaults`.
pub(crate) fn rules(profile: &Value) -> Rules {
    let mut rules = Rules::default();
    let Some(filters) = profile.get("SOGoSieveFilters").and_then(Value::as_array) else { return rules };
    rules.is_partial = filters.len() > MAX_RULES;
    let (mut active, mut off) = (Script::default(), Script::default());
    for filter in filters.iter().take(MAX_RULES) {
        let is_on = filter.get("active").is_none_or(super::row::holds);
        let script = if is_on { &mut active } else { &mut off };
        rules.is_partial |= !script.rule(filter);
    }
    (rules.active, rules.off) = (active.text(), off.text());
    rules
}

#[derive(Default)]
struct Script {
    requires: BTreeSet<&'static str>,
    body: String,
}

impl Script {
    /// Adds a rule; false where it is not wholly understood. A test that is not understood counts as always true: what
    /// the rule does is then not missed.
    fn rule(&mut self, filter: &Value) -> bool {
        let (actions, mut is_whole) = self.actions(filter);
        if actions.is_empty() {
            return is_whole;
        }
        let tests: Vec<Option<String>> = match word(filter, "match") {
            "allmessages" => Vec::new(),
            _ => list(filter, "rules").iter().map(|rule| self.test(rule)).collect(),
        };
        is_whole &= tests.iter().all(Option::is_some);
        let tests: Vec<String> =
            tests.into_iter().map(|test| test.unwrap_or_else(|| "true".to_owned())).collect();
        let join = if word(filter, "match") == "any" { "anyof" } else { "allof" };
        let condition =
            if tests.is_empty() { "true".to_owned() } else { format!("{join} ({})", tests.join(", ")) };
        let name: String = word(filter, "name").chars().filter(|c| !c.is_control()).take(100).collect();
        self.body += &format!("# {name}\nif {condition} {{\n{actions}}}\n");
        is_whole
    }

    fn actions(&mut self, filter: &Value) -> (String, bool) {
        let (mut text, mut is_whole, mut acts) = (String::new(), true, false);
        for action in list(filter, "actions") {
            let argument = quoted(word(action, "argument"));
            match word(action, "method") {
                "discard" => text += "  discard;\n",
                "keep" => text += "  keep;\n",
                "stop" => {
                    text += "  stop;\n";
                    continue;
                }
                "fileinto" => {
                    self.requires.insert("fileinto");
                    text += &format!("  fileinto {argument};\n");
                }
                "reject" => {
                    self.requires.insert("reject");
                    text += &format!("  reject {argument};\n");
                }
                "addflag" => {
                    self.requires.insert("imap4flags");
                    text += &format!("  addflag {};\n", quoted(flag(word(action, "argument"))));
                }
                // Told from the profile.
                "redirect" | "notify" | "vacation" => continue,
                _ => {
                    is_whole = false;
                    continue;
                }
            }
            acts = true;
        }
        (if acts { text } else { String::new() }, is_whole)
    }

    fn test(&mut self, rule: &Value) -> Option<String> {
        let (operator, value) = (word(rule, "operator"), word(rule, "value"));
        let (operator, not) = match operator.strip_suffix("_not") {
            Some(operator) => (operator, "not "),
            None => (operator, ""),
        };
        if word(rule, "field") == "size" {
            let kilobytes: u64 = value.trim().parse().ok()?;
            return ["over", "under"]
                .contains(&operator)
                .then(|| format!("{not}size :{operator} {kilobytes}K"));
        }
        if operator == "regex" {
            self.requires.insert("regex");
        } else if !["is", "contains", "matches"].contains(&operator) {
            return None;
        }
        let value = quoted(value);
        let header = |names: &str| Some(format!("{not}header :{operator} {names} {value}"));
        let address = |names: &str| Some(format!("{not}address :{operator} {names} {value}"));
        match word(rule, "field") {
            "subject" => header("\"subject\""),
            "from" => address("\"from\""),
            "to" => address("\"to\""),
            "cc" => address("\"cc\""),
            "to_or_cc" => address("[\"to\", \"cc\"]"),
            "header" => header(&quoted(word(rule, "custom_header"))),
            "body" => {
                self.requires.insert("body");
                Some(format!("{not}body :{operator} {value}"))
            }
            _ => None,
        }
    }

    fn text(self) -> String {
        if self.body.is_empty() {
            return String::new();
        }
        let requires: Vec<String> = self.requires.into_iter().map(quoted).collect();
        let requires =
            if requires.is_empty() { String::new() } else { format!("require [{}];\n", requires.join(", ")) };
        requires + &self.body
    }
}

/// SOGo's words for the flags of a system.
fn flag(name: &str) -> &str {
    match name {
        "seen" => "\\Seen",
        "deleted" => "\\Deleted",
        "answered" => "\\Answered",
        "flagged" => "\\Flagged",
        "junk" => "Junk",
        "not_junk" => "NonJunk",
        other => other,
    }
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A quoted string of Sieve (RFC 5228 section 2.4.2).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(filters: &str) -> Rules {
        rules(&serde_json::from_str(&format!("{{\"SOGoSieveFilters\":{filters}}}")).unwrap())
    }

    #[test]
    fn rules_are_said_as_sogo_would_write_them() {
        let said = of(r#"[{"name":"quiet","active":1,"match":"any","rules":[
                {"field":"subject","operator":"contains","value":"say \"hi\""},
                {"field":"size","operator":"over","value":"20"},
                {"field":"header","operator":"is_not","custom_header":"X-A","value":"b"}],
                "actions":[{"method":"discard"},{"method":"stop"}]},
              {"name":"move","active":0,"match":"allmessages","actions":[{"method":"fileinto","argument":"Trash"},
                {"method":"addflag","argument":"seen"}]},
              {"name":"send","active":1,"match":"allmessages","actions":[{"method":"redirect","argument":"x@b.test"}]}]"#);
        assert_eq!(
            said.active,
            "# quiet\nif anyof (header :contains \"subject\" \"say \\\"hi\\\"\", size :over 20K, not header :is \"X-A\" \"b\") {\n  \
             discard;\n  stop;\n}\n"
        );
        assert_eq!(
            said.off,
            "require [\"fileinto\", \"imap4flags\"];\n# move\nif true {\n  fileinto \"Trash\";\n  addflag \"\\\\Seen\";\n}\n"
        );
        assert!(!said.is_partial);
    }

    #[test]
    fn what_is_not_understood_counts_as_true_and_is_said() {
        let said = of(
            r#"[{"active":1,"match":"all","rules":[{"field":"moon","operator":"is","value":"full"}],"actions":[{"method":"discard"}]}]"#,
        );
        assert!(said.is_partial && said.active.contains("if allof (true) {\n  discard;"), "{said:?}");
        let said = of(r#"[{"active":1,"match":"allmessages","actions":[{"method":"teleport"}]}]"#);
        assert_eq!((said.active.as_str(), said.is_partial), ("", true));
    }

    proptest! {
        #[test]
        fn no_value_ends_a_string_early(name in "\\PC{0,20}", value in "(\\PC|\"|\\\\){0,20}") {
            let filters = serde_json::json!([{ "name": name, "active": 1, "match": "all",
                "rules": [{ "field": "subject", "operator": "is", "value": value }],
                "actions": [{ "method": "discard" }] }]);
            let said = rules(&serde_json::json!({ "SOGoSieveFilters": filters }));
            prop_assert_eq!(said.active.matches("discard;\n}").count(), 1);
            let inner = said.active.split("\"subject\" \"").nth(1).unwrap();
            let end = inner.rfind("\") {").unwrap();
            prop_assert_eq!(inner[..end].replace("\\\"", "\"").replace("\\\\", "\\").len() , value.len());
        }
    }
}
