//! Whether Postfix reaches the gate: the socket as its user sees it, and from inside a chroot where it has
//! one.

use std::path::{Path, PathBuf};

use crate::answers::{Answer, Answers, Question};
use crate::check::Item;
use crate::instance::Instance;
use crate::milters::{Milter, Place, milters};
use crate::socket::obstacle;

const REACHABLE: &str = "\
    Postfix connects as its own user, and a service with `y` in the chroot column of master.cf sees the queue \
    directory as its root.";
const ANSWERS: &str = "A gate that does not run defers all mail.";

/// Who connects, and where to.
struct Way {
    service: String,
    place: Place,
}

pub(crate) fn questions(instance: &Instance, gate: &str) -> Vec<Question> {
    let mut asked = vec![Question::User(mail_owner(instance)), Question::Reach(gate.to_owned())];
    let paths = ways(instance, gate).into_iter().filter_map(|way| way.path().map(Question::Path));
    asked.extend(paths);
    asked
}

pub(crate) fn items(instance: &Instance, gate: &str, answers: &Answers) -> Vec<Item> {
    let mut found: Vec<Item> =
        ways(instance, gate).iter().filter_map(|way| reachable(instance, way, answers)).collect();
    found.push(answering(gate, answers));
    found
}

/// smtpd(8) asks for what comes by SMTP, cleanup(8) for the rest and for the content.
fn ways(instance: &Instance, gate: &str) -> Vec<Way> {
    let queue = PathBuf::from(instance.value("queue_directory"));
    let smtpd = instance.smtpd_services().map(|service| (service, service.value(instance, "smtpd_milters")));
    let cleanup = instance.service_running("cleanup");
    let cleanup = cleanup.map(|service| (service, instance.value("non_smtpd_milters")));
    smtpd
        .chain(cleanup)
        .filter_map(|(service, list)| {
            let place = milters(list).iter().find_map(|milter| gate_place(milter, gate, &queue))?;
            Some(Way { service: service.id(), place: place.seen_from(service.chroot, &queue) })
        })
        .collect()
}

fn gate_place(milter: &Milter<'_>, gate: &str, queue: &Path) -> Option<Place> {
    let named = Place::read(milter.address)?;
    Place::read(gate)?.is_meant_by(&named, queue).then_some(named)
}

impl Way {
    fn path(&self) -> Option<String> {
        match &self.place {
            Place::Unix(path) => Some(path.display().to_string()),
            Place::Inet { .. } => None,
        }
    }
}

fn reachable(instance: &Instance, way: &Way, answers: &Answers) -> Option<Item> {
    let path = way.path()?;
    let owner = mail_owner(instance);
    let item = Item::new("socket", format!("the gate's socket from {}", way.service), REACHABLE)
        .should(format!("user {owner} may connect to {path}"));
    let (steps, user) =
        match (answers.get(&Question::Path(path.clone())), answers.get(&Question::User(owner))) {
            (Answer::Steps(steps), Answer::User(user)) => (steps, user),
            (Answer::Unknown(why), _) | (_, Answer::Unknown(why) | Answer::Missing(why)) => {
                return Some(item.unknown(&why));
            }
            _ => return Some(item.unknown("the path could not be looked at")),
        };
    let obstacle = obstacle(&path, &steps, &user);
    let command = "# give the socket a group that user postfix is in (socket_group and socket_mode under \
    [gate]); \
                   for a chrooted service let the gate listen below the queue directory, or write n in its \
                   chroot \
                   column: postconf -F 'SERVICE/chroot=n'";
    let command = command.replace("SERVICE", &way.service);
    Some(item.is(obstacle.as_deref().unwrap_or("it may")).good_if(obstacle.is_none(), command))
}

fn answering(gate: &str, answers: &Answers) -> Item {
    let item = Item::new("gate-answers", gate, ANSWERS).should("somebody answers");
    match answers.get(&Question::Reach(gate.to_owned())) {
        Answer::Found(_) => item.is("somebody answers").good_if(true, ""),
        Answer::Missing(why) => {
            item.is(format!("nobody answers: {why}")).good_if(false, "systemctl start mailwarden-milter")
        }
        Answer::Unknown(why) => item.unknown(&why),
        _ => item.unknown("it could not be tried"),
    }
}

fn mail_owner(instance: &Instance) -> String {
    let owner = instance.value("mail_owner");
    if owner.is_empty() { "postfix".to_owned() } else { owner.to_owned() }
}
