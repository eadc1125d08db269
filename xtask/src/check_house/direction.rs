//! Who may depend on whom: decisions are pure, only the outer rooms touch the world, and dependencies point
//! down.

use super::Fault;
use super::metadata::HouseCrate;

/// How much of the world a crate may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    /// No runtime, socket, database or HTTP, however many dependencies away.
    Never,
    /// Only behind a feature that its user turns on.
    ByFeature,
    /// That is its task.
    Yes,
}

/// One crate of the house and what it may build on.
struct Room {
    name: &'static str,
    world: World,
    builds_on: &'static [&'static str],
    because: &'static str,
}

/// What a pure crate must not reach.
const RUNTIMES: [&str; 9] =
    ["tokio", "async-std", "smol", "async-imap", "io-managesieve", "sqlx", "reqwest", "hyper", "axum"];

const HOUSE: [Room; 24] = [
    Room {
        name: "milter-proto",
        world: World::ByFeature,
        builds_on: &[],
        because: "a milter library that is of use without Mailwarden; its codec needs no runtime",
    },
    Room {
        name: "sieve-analysis",
        world: World::Never,
        builds_on: &[],
        because: "a Sieve library that is of use without Mailwarden",
    },
    Room {
        name: "mailwarden-address",
        world: World::Never,
        builds_on: &[],
        because: "the vocabulary that everything else is written in",
    },
    Room {
        name: "mailwarden-evidence",
        world: World::Never,
        builds_on: &[],
        because: "collectors and judge meet here, and in nothing else",
    },
    Room {
        name: "mailwarden-policy",
        world: World::Never,
        builds_on: &["mailwarden-address"],
        because: "the control model knows no sockets, clocks or mail servers",
    },
    Room {
        name: "mailwarden-gate",
        world: World::Never,
        builds_on: &["mailwarden-address", "mailwarden-policy"],
        because: "a decision is a function of policy, facts and time",
    },
    Room {
        name: "mailwarden-postfix",
        world: World::Never,
        builds_on: &["mailwarden-address", "mailwarden-policy"],
        because: "what Postfix needs is a function of the policy; whoever asks a live instance hands in the answers",
    },
    Room {
        name: "mailwarden-dns",
        world: World::Never,
        builds_on: &["mailwarden-address", "mailwarden-evidence", "mailwarden-policy"],
        because: "what a domain should publish, and what follows from an answer, need no socket",
    },
    Room {
        name: "mailwarden-judge",
        world: World::Never,
        builds_on: &[
            "mailwarden-address",
            "mailwarden-dns",
            "mailwarden-evidence",
            "mailwarden-policy",
            "sieve-analysis",
        ],
        because: "a finding is a function of observations and policy",
    },
    Room {
        name: "mailwarden-casework",
        world: World::Never,
        builds_on: &["mailwarden-address", "mailwarden-policy"],
        because: "a case is a fold over events: it knows neither the ledger that holds them nor the sweep",
    },
    Room {
        name: "mailwarden-remedy",
        world: World::Never,
        builds_on: &[
            "mailwarden-address",
            "mailwarden-evidence",
            "mailwarden-judge",
            "mailwarden-policy",
            "sieve-analysis",
        ],
        because: "what a change does, and who may make it, is decided before anything is touched",
    },
    Room {
        name: "mailwarden-settings",
        world: World::Yes,
        builds_on: &["mailwarden-gate", "mailwarden-policy"],
        because: "reads what both programs are configured with, and does nothing with it",
    },
    Room {
        name: "mailwarden-collect",
        world: World::Yes,
        builds_on: &["mailwarden-address", "mailwarden-evidence"],
        because: "collectors say what is there; what it means is for the judge",
    },
    Room {
        name: "mailwarden-panels",
        world: World::Yes,
        builds_on: &["mailwarden-evidence"],
        because: "what is asked of a panel is data; what it means is for the judge",
    },
    Room {
        name: "mailwarden-proof",
        world: World::Never,
        builds_on: &[],
        because: "an auditor checks an exported case without a database, and can read all that it takes",
    },
    Room {
        name: "mailwarden-ledger",
        world: World::Yes,
        builds_on: &["mailwarden-proof"],
        because: "the trail holds events of every room and must not take part in any",
    },
    Room {
        name: "mailwarden-report",
        world: World::Never,
        builds_on: &["mailwarden-evidence", "mailwarden-judge"],
        because: "writers render one finished report and ask nobody",
    },
    Room {
        name: "mailwarden-milter-daemon",
        world: World::Yes,
        builds_on: &[
            "mailwarden-address",
            "mailwarden-gate",
            "mailwarden-ledger",
            "mailwarden-policy",
            "mailwarden-settings",
            "milter-proto",
        ],
        because: "the gate knows no mailbox credentials and makes no rounds",
    },
    Room {
        name: "mailwarden",
        world: World::Yes,
        builds_on: &[
            "mailwarden-address",
            "mailwarden-casework",
            "mailwarden-collect",
            "mailwarden-dns",
            "mailwarden-evidence",
            "mailwarden-gate",
            "mailwarden-judge",
            "mailwarden-ledger",
            "mailwarden-panels",
            "mailwarden-policy",
            "mailwarden-postfix",
            "mailwarden-remedy",
            "mailwarden-report",
            "mailwarden-settings",
            "sieve-analysis",
        ],
        because: "the command wires the rooms together; nothing builds on it",
    },
    Room {
        name: "mailwarden-lab",
        world: World::Yes,
        builds_on: &[],
        because: "the servers of the tests must not share a mistake with what they test",
    },
    Room {
        name: "mailwarden-e2e",
        world: World::Yes,
        builds_on: &["mailwarden-lab"],
        because: "end-to-end tests see the programs from outside, as an admin does",
    },
    Room {
        name: "mailwarden-counts",
        world: World::ByFeature,
        builds_on: &[
            "mailwarden-address",
            "mailwarden-gate",
            "mailwarden-policy",
            "milter-proto",
            "sieve-analysis",
        ],
        because: "only decisions are counted: what touches the world costs something else each time",
    },
    Room {
        name: "mailwarden-fuzz",
        world: World::ByFeature,
        builds_on: &["mailwarden-address", "milter-proto"],
        because: "a fuzz target is a function of octets",
    },
    Room {
        name: "xtask",
        world: World::Yes,
        builds_on: &["mailwarden-lab"],
        because: "the demonstration runs the programs, it is not built of their parts",
    },
];

pub(super) fn check(crates: &[HouseCrate]) -> Vec<Fault> {
    crates.iter().flat_map(check_crate).collect()
}

fn check_crate(own: &HouseCrate) -> Vec<Fault> {
    let Some(room) = HOUSE.iter().find(|room| room.name == own.name) else {
        let table = "give it a room in the table of xtask/src/check_house/direction.rs";
        return vec![Fault::new(&own.name, format!("unknown to the house; {table}"))];
    };
    let upward = own.builds_on.iter().filter(|other| !room.builds_on.contains(&other.as_str()));
    let upward =
        upward.map(|other| Fault::new(room.name, format!("must not build on {other}: {}", room.because)));
    let worldly = worldly(room, own).map(|runtime| {
        Fault::new(room.name, format!("must not depend on {runtime}, directly or not: {}", room.because))
    });
    upward.chain(worldly).collect()
}

/// The runtimes that a crate has and should not have.
fn worldly<'c>(room: &Room, own: &'c HouseCrate) -> impl Iterator<Item = &'c String> {
    let (never, by_feature) = (room.world == World::Never, room.world == World::ByFeature);
    let reached = own.reaches.iter().filter(move |_| never);
    let always = own.always.iter().filter(move |_| by_feature);
    reached.chain(always).filter(|name| RUNTIMES.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, builds_on: &[&str], reaches: &[&str], always: &[&str]) -> HouseCrate {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        HouseCrate {
            name: name.to_owned(),
            manifest: "Cargo.toml".into(),
            builds_on: set(builds_on),
            reaches: set(reaches),
            always: set(always),
        }
    }

    #[test]
    fn a_good_graph_has_no_fault() {
        let graph = [
            own("mailwarden-gate", &["mailwarden-address", "mailwarden-policy"], &["chrono"], &[]),
            own("milter-proto", &[], &["tokio", "thiserror"], &["thiserror"]),
            own("mailwarden-collect", &["mailwarden-evidence"], &["tokio"], &["tokio"]),
        ];
        assert_eq!(check(&graph), []);
    }

    #[test]
    fn every_bad_edge_is_named_with_its_reason() {
        let graph = [
            own("mailwarden-gate", &["mailwarden-ledger"], &[], &[]),
            own("mailwarden-judge", &[], &["serde", "sqlx"], &[]),
            own("mailwarden-collect", &["mailwarden-judge"], &[], &[]),
            own("mailwarden-report", &["mailwarden"], &[], &[]),
            own("milter-proto", &[], &["tokio"], &["tokio"]),
            own("mailwarden-annex", &[], &[], &[]),
        ];
        let faults: Vec<String> = check(&graph).iter().map(ToString::to_string).collect();
        let starts = [
            "mailwarden-gate: must not build on mailwarden-ledger: a decision is",
            "mailwarden-judge: must not depend on sqlx, directly or not: a finding is",
            "mailwarden-collect: must not build on mailwarden-judge: collectors say",
            "mailwarden-report: must not build on mailwarden: writers",
            "milter-proto: must not depend on tokio",
            "mailwarden-annex: unknown to the house",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
    }

    #[test]
    fn the_table_itself_points_down() {
        // Sorted from the ground up: each room builds on rooms above it in the table only.
        for (at, room) in HOUSE.iter().enumerate() {
            let below: Vec<&str> = HOUSE[..at].iter().map(|room| room.name).collect();
            let upward: Vec<_> = room.builds_on.iter().filter(|name| !below.contains(name)).collect();
            assert!(upward.is_empty(), "{} builds on {upward:?}", room.name);
        }
    }
}
