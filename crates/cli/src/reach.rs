//! `mailwarden reach`: where mail ends, and what a person can still reach.

use std::fmt::Write as _;

use mailwarden_address::Address;
use mailwarden_judge::graph::{Power, Question, Reach, Way, reach};
use mailwarden_policy::Policy;
use mailwarden_report::{Ways, picture};
use mailwarden_settings::load_policy;

use crate::arguments::{self, Common, ReachFormat};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};
use crate::seen;

pub(crate) async fn run(common: &Common, asked: &arguments::Reach) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let questions = questions(&policy, &asked.asked)?;
    let seen = seen::saved_or_now(&settings, &policy, asked.input.as_deref()).await?;
    let ask = |question| reach(&seen.run, &policy, &seen.observations, &seen.coverage, question);
    let answer = questions.iter().map(ask).reduce(joined).ok_or_else(|| nobody(&asked.asked))?;
    match asked.format {
        ReachFormat::Text => output::print(&text(&answer))?,
        ReachFormat::Json => output::print_json(&answer)?,
        ReachFormat::Svg => output::print(&svg(&answer))?,
    }
    let complete = answer.unknown.is_empty() && answer.left_out == 0;
    Ok(if complete { Outcome::Clean } else { Outcome::Incomplete })
}

/// An address of a person asks for both: where its mail goes, and what the person can reach.
fn questions(policy: &Policy, asked: &str) -> Result<Vec<Question>, Failure> {
    let place = |name: &str| policy.people().iter().position(|person| person.name == name);
    let Ok(address) = asked.parse::<Address>() else {
        let named = policy.people().iter().filter(|person| person.name.eq_ignore_ascii_case(asked)).count();
        let person = policy.people().iter().position(|person| person.name.eq_ignore_ascii_case(asked));
        return match (person, named) {
            (Some(person), 1) => Ok(vec![Question::Person(person)]),
            (Some(_), _) => Err(Failure::Usage(format!(
                "{named} people of the policy are called `{}`; ask for one of their addresses",
                shown(asked)
            ))),
            (None, _) => Err(nobody(asked)),
        };
    };
    let person = policy.person(&address).and_then(|person| place(&person.name));
    let mut questions = vec![Question::Address(address)];
    questions.extend(person.map(Question::Person));
    Ok(questions)
}

fn nobody(asked: &str) -> Failure {
    let asked = shown(asked);
    Failure::Usage(format!(
        "`{asked}` is neither an address nor a [[person]] of the policy\n  see `mailwarden who`"
    ))
}

fn joined(address: Reach, person: Reach) -> Reach {
    let mut unknown = [address.unknown, person.unknown].concat();
    unknown.sort();
    unknown.dedup();
    let mut people = [address.people, person.people].concat();
    people.sort();
    people.dedup();
    let left_out = address.left_out + person.left_out;
    Reach { forward: address.forward, reverse: person.reverse, people, unknown, left_out, ..person }
}

const FORWARD: [(Power, &str); 6] = [
    (Power::ReceivesCopy, "gets the mail"),
    (Power::Runs, "runs on the mail"),
    (Power::Reads, "can read it"),
    (Power::Changes, "can plant, change or delete it"),
    (Power::LogsInAs, "can log in as it"),
    (Power::SendsAs, "can send as it"),
];
const REVERSE: [(Power, &str); 6] = [
    (Power::Reads, "can read"),
    (Power::ReceivesCopy, "receives"),
    (Power::LogsInAs, "can log in as"),
    (Power::SendsAs, "can send as"),
    (Power::Changes, "can plant, change or delete in"),
    (Power::Is, "is"),
];

fn text(answer: &Reach) -> String {
    let mut out = String::new();
    let asked = shown(&answer.asked);
    for (heading, ways) in kinds(answer) {
        let _ = writeln!(out, "{}{}", if out.is_empty() { "" } else { "\n" }, shown(&heading));
        for way in ways {
            let _ = writeln!(out, "  {}{}", shown(&way.path.join(" -> ")), note(way));
        }
    }
    if answer.forward.is_empty() && answer.reverse.is_empty() {
        let _ = writeln!(out, "{asked}: nothing was found that leads anywhere");
    }
    if !answer.people.is_empty() {
        out.push_str("\nWho that is\n");
        answer.people.iter().for_each(|person| {
            let _ = writeln!(out, "  {}", shown(person));
        });
    }
    if answer.left_out > 0 {
        let _ = writeln!(out, "\n{} ways more are not listed", answer.left_out);
    }
    if !answer.unknown.is_empty() {
        out.push_str("\nNot known\n");
        answer.unknown.iter().for_each(|unknown| {
            let _ = writeln!(out, "  {}: {}", shown(&unknown.what), shown(&unknown.why));
        });
    }
    out
}

/// Every way in one picture, which says as well what is not in it.
fn svg(answer: &Reach) -> String {
    let caption = match (answer.forward.is_empty(), answer.reverse.is_empty()) {
        (false, _) => format!("Where mail of {} goes, and who can reach it", answer.asked),
        (true, false) => format!("What {} can still reach", answer.asked),
        (true, true) => format!("{}: nothing was found that leads anywhere", answer.asked),
    };
    let drawn = kinds(answer).into_iter().map(|(heading, ways)| Ways {
        heading,
        paths: ways.into_iter().map(|way| way.path.as_slice()).collect(),
    });
    let unknown =
        answer.unknown.iter().map(|unknown| format!("Not known: {}: {}", unknown.what, unknown.why));
    let left_out = (answer.left_out > 0).then(|| format!("{} ways more are not drawn", answer.left_out));
    let remarks: Vec<String> = left_out.into_iter().chain(unknown).collect();
    picture(&caption, &drawn.collect::<Vec<_>>(), &remarks)
}

/// The ways of an answer by what they give, under the words for it.
fn kinds(answer: &Reach) -> Vec<(String, Vec<&Way>)> {
    let mail = format!("Mail to {}: who", answer.asked);
    [(mail, &answer.forward, &FORWARD), (answer.asked.clone(), &answer.reverse, &REVERSE)]
        .iter()
        .flat_map(|(subject, ways, powers)| {
            powers.iter().map(move |(power, phrase)| {
                let mine = ways.iter().filter(|way| way.power == *power).collect::<Vec<_>>();
                (format!("{subject} {phrase}"), mine)
            })
        })
        .filter(|(_, ways)| !ways.is_empty())
        .collect()
}

fn note(way: &Way) -> &'static str {
    match (way.is_loop, way.joins) {
        (true, _) => "  (a loop)",
        (_, true) => "  (and on as above)",
        _ => "",
    }
}
