//! Whether a user can connect to a Unix socket: search every directory, write to the socket.

/// One step on the way to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStep {
    /// The path so far.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether it is a socket.
    pub is_socket: bool,
}

/// A user of the mail host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub uid: u32,
    /// Its groups, the own one first.
    pub gids: Vec<u32>,
}

const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

/// Why `user` cannot connect to the socket at the end of these steps; `None` when it can.
pub(crate) fn obstacle(wanted: &str, steps: &[PathStep], user: &Account) -> Option<String> {
    let Some((last, directories)) = steps.split_last() else {
        return Some(format!("{wanted} does not exist"));
    };
    if let Some(closed) = directories.iter().find(|step| !step.allows(user, SEARCH)) {
        return Some(format!("user postfix cannot pass {} (mode {:04o})", closed.path, closed.mode));
    }
    if last.path != wanted {
        return Some(format!("{wanted} does not exist"));
    }
    if !last.is_socket {
        return Some(format!("{wanted} is no socket"));
    }
    (!last.allows(user, WRITE)).then(|| {
        format!("user postfix cannot write to {wanted} (mode {:04o}, group {})", last.mode, last.gid)
    })
}

impl PathStep {
    /// The first class that fits decides, as in the kernel: an owner without the right does not get it from
    /// the others.
    fn allows(&self, user: &Account, right: u32) -> bool {
        let shift = match () {
            () if user.uid == 0 => return true,
            () if user.uid == self.uid => 6,
            () if user.gids.contains(&self.gid) => 3,
            () => 0,
        };
        (self.mode >> shift) & right == right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &str, mode: u32, gid: u32, is_socket: bool) -> PathStep {
        PathStep { path: path.to_owned(), mode, uid: 0, gid, is_socket }
    }

    #[test]
    fn every_obstacle_is_named() {
        let postfix = Account { uid: 100, gids: vec![100, 50] };
        let why = |steps: &[PathStep]| obstacle("/run/s", steps, &postfix).unwrap_or_default();
        let run = step("/run", 0o755, 0, false);
        assert_eq!(why(&[run.clone(), step("/run/s", 0o660, 50, true)]), "");
        assert_eq!(why(&[run.clone(), step("/run/s", 0o666, 0, true)]), "");
        assert!(why(&[run.clone(), step("/run/s", 0o660, 0, true)]).contains("cannot write"));
        assert!(
            why(&[run.clone(), step("/run/s", 0o606, 50, true)]).contains("cannot write"),
            "group decides"
        );
        assert!(
            why(&[step("/run", 0o700, 0, false), step("/run/s", 0o666, 0, true)])
                .contains("cannot pass /run")
        );
        assert!(why(&[run.clone(), step("/run/s", 0o666, 0, false)]).contains("no socket"));
        assert!(why(&[run]).contains("does not exist"));
        assert!(why(&[]).contains("does not exist"));
    }
}
