//! Servers of other versions, in directory trees of their own: a Debian 13 with its Postfix and Dovecot, a
//! Debian 12 with Cyrus, and an unpacked Sendmail. They are made once and kept in [`CACHE`]; nothing of them is installed on the machine.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{LabError, Result, make_directory, write_file};
use crate::packages::{POSTFIX_PRESET, ensure_slow_installed, require_root};
use crate::process::{exists, run_ok};

/// Where they are kept.
pub const CACHE: &str = "/var/cache/mailwarden-lab";
/// A whole small Debian over a slow line.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// What Debian's mirrors answer to when the machine's own sources name none.
const MIRROR: &str = "http://deb.debian.org/debian";
/// Written last: a tree without it was never finished.
const READY: &str = ".mailwarden-lab-ready";

/// A Debian 13 with Postfix 3.10 and Dovecot 2.4; made when it is not there yet.
pub fn debian_13(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let packages = [
        "postfix",
        "postfix-pcre",
        "dovecot-imapd",
        "dovecot-lmtpd",
        "dovecot-managesieved",
        "dovecot-pop3d",
        "dovecot-sieve",
    ];
    debian("debian-13", "trixie", &packages, progress)
}

/// A Debian 12 with Cyrus IMAP 3.6, which apt would put in Dovecot's place on the machine itself; made when
/// it is not there yet. Cyrus wants some mail transport agent, and takes the smallest.
pub fn cyrus(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let packages = ["dma", "cyrus-imapd", "cyrus-admin", "sasl2-bin", "libsasl2-modules"];
    debian("debian-12-cyrus", "bookworm", &packages, progress)
}

/// A small Debian of a release, by its name, on which packages can be tried: with Postfix, and with what makes
/// users and directories where no systemd runs.
pub fn installable(release: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let packages = ["postfix", "systemd-standalone-sysusers", "systemd-standalone-tmpfiles"];
    debian(&format!("installable-{release}"), release, &packages, progress)
}

/// A Debian with packages in it. A tree of fewer packages is completed where it stands.
fn debian(name: &str, suite: &str, packages: &[&str], progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let packages = packages.join(" ");
    make(name, &packages, progress, |root, progress| {
        if !exists(&root.join("usr/sbin/policy-rc.d")) {
            progress(&format!("unpacking Debian ({suite})"));
            unpack_debian(root, suite)?;
        }
        progress(&format!("installing {packages} in it"));
        let within = |script: &str, input: &[u8]| {
            let mut command = inside(root, Path::new("/"), "/bin/sh");
            run_ok(command.args(["-c", script]), input, BUILD_LIMIT).map(drop)
        };
        within("debconf-set-selections", POSTFIX_PRESET.as_bytes())?;
        let install = format!(
            "export DEBIAN_FRONTEND=noninteractive; dpkg --configure -a && \
             apt-get -q install --yes --no-install-recommends {packages}"
        );
        within(&install, b"")
    })
}

fn unpack_debian(root: &Path, suite: &str) -> Result<()> {
    let mut debootstrap = Command::new("/usr/sbin/debootstrap");
    debootstrap.args(["--variant=minbase", "--include=ca-certificates", suite]).arg(root).arg(mirror());
    run_ok(&mut debootstrap, b"", BUILD_LIMIT)?;
    for file in ["etc/resolv.conf", "etc/hosts"] {
        let from = Path::new("/").join(file);
        fs::copy(&from, root.join(file)).map_err(LabError::io("copying", &from))?;
    }
    let policy = root.join("usr/sbin/policy-rc.d");
    write_file(&policy, "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755)).map_err(LabError::io("allowing", &policy))
}

/// Sendmail 8.17, unpacked: installing it would remove Postfix.
pub fn sendmail(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    make("sendmail", "", progress, |root, progress| {
        progress("unpacking Sendmail");
        make_directory(root)?;
        let mut download = Command::new("/usr/bin/apt-get");
        download.args(["-q", "download", "sendmail-bin", "sendmail-base", "sendmail-cf"]).current_dir(root);
        run_ok(&mut download, b"", BUILD_LIMIT)?;
        let unpack = "for package in *.deb; do dpkg -x \"$package\" . || exit 1; done; rm -f -- *.deb";
        run_ok(Command::new("/bin/sh").args(["-c", unpack]).current_dir(root), b"", BUILD_LIMIT).map(drop)
    })
}

/// Mailman's core in a Python of its own; there is one in Debian, which starts services and wants a web server. SQLAlchemy
/// 2.1 breaks its lists.
pub fn mailman(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    const PACKAGES: [&str; 2] = ["mailman==3.3.10", "sqlalchemy<2.1"];
    make("mailman", &PACKAGES.join(" "), progress, |root, progress| {
        progress("installing Mailman");
        let mut python = Command::new("/usr/bin/python3");
        run_ok(python.args(["-m", "venv"]).arg(root), b"", BUILD_LIMIT)?;
        // Scripts of the tree name the place where it was made; its Python finds the tree where it stands.
        let mut pip = Command::new(root.join("bin/python3"));
        run_ok(pip.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES), b"", BUILD_LIMIT).map(drop)
    })
}

/// Makes a tree beside its place and renames it when it is whole; test programs that start together make one.
/// Its last file says by which recipe it was made: one of another recipe is built further, in its place.
fn make(
    name: &str,
    recipe: &str,
    progress: &mut dyn FnMut(&str),
    build: impl FnOnce(&Path, &mut dyn FnMut(&str)) -> Result<()>,
) -> Result<PathBuf> {
    let root = Path::new(CACHE).join(name);
    let is_ready = || fs::read_to_string(root.join(READY)).is_ok_and(|made| made == recipe);
    if is_ready() {
        return Ok(root);
    }
    require_root("making a directory tree for other servers")?;
    ensure_slow_installed(progress)?;
    fs::create_dir_all(CACHE).map_err(LabError::io("making", Path::new(CACHE)))?;
    let turnstile = Path::new(CACHE).join(format!("{name}.lock"));
    let turn = File::create(&turnstile).map_err(LabError::io("opening", &turnstile))?;
    turn.lock().map_err(LabError::io("locking", &turnstile))?;
    if is_ready() {
        return Ok(root);
    }
    if exists(&root.join(READY)) {
        build(&root, progress)?;
        write_file(&root.join(READY), recipe)?;
        return Ok(root);
    }
    let unfinished = Path::new(CACHE).join(format!("{name}.making"));
    if exists(&unfinished) {
        fs::remove_dir_all(&unfinished).map_err(LabError::io("removing", &unfinished))?;
    }
    build(&unfinished, progress)?;
    write_file(&unfinished.join(READY), recipe)?;
    fs::rename(&unfinished, &root).map_err(LabError::io("putting in place", &root))?;
    Ok(root)
}

/// The first mirror that the machine's own sources name for Debian itself.
fn mirror() -> String {
    let files =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|file| file.path());
    let texts = files
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .filter_map(|file| fs::read_to_string(file).ok());
    let of = |text: String| {
        text.split_ascii_whitespace().find(|word| word.ends_with("/debian")).map(str::to_owned)
    };
    texts.filter_map(of).next().unwrap_or_else(|| MIRROR.to_owned())
}

/// Mounts what a program of another tree needs, in a namespace of its own that ends with it.
const INSIDE: &str = r#"
root=$1 shared=$2; shift 2
[ -d "$root/proc" ] || { echo "$root is no tree of a system" >&2; exit 1; }
if [ "$shared" != / ]; then mkdir -p "$root$shared" && mount --bind "$shared" "$root$shared" || exit 1; fi
mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc" && exec chroot "$root" "$@"
"#;
/// What opens such a namespace.
const UNSHARE: [&str; 6] = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c"];

/// A program of such a tree, with `shared` at the same place inside as outside. The mounts belong to the
/// process and end with it.
pub(crate) fn inside(root: &Path, shared: &Path, program: &str) -> Command {
    let mut command = Command::new(UNSHARE[0]);
    command.args(&UNSHARE[1..]).args([INSIDE, "inside"]).arg(root).arg(shared).arg(program);
    command
}

/// The programs of one server: the machine's own, or those of another tree, which see the labs at their own
/// place.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    root: PathBuf,
}

impl Programs {
    /// Those of the tree that an environment variable names, for a run of tests as a whole.
    pub(crate) fn chosen(variable: &str) -> Programs {
        Programs::of(std::env::var_os(variable).map_or_else(|| "/".into(), PathBuf::from))
    }

    pub(crate) fn of(root: PathBuf) -> Programs {
        Programs { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn is_elsewhere(&self) -> bool {
        self.root != Path::new("/")
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        if !self.is_elsewhere() {
            return Command::new(program);
        }
        inside(&self.root, &std::env::temp_dir(), program)
    }

    /// A script that runs a program of the tree, for whoever takes only a path.
    pub(crate) fn wrapper(&self, program: &str) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let (root, shared) = (self.root.display().to_string(), std::env::temp_dir().display().to_string());
        let words = [&UNSHARE[..], &[INSIDE, "inside", &root, &shared, program]].concat();
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))
    }
}

/// A shell script in a copy of such a tree that nobody else sees and that is gone when the script ends; `shared`
/// is at the same place inside, to be read. Every process it starts ends with it, or with whoever kills it.
#[must_use]
pub fn throwaway(root: &Path, shared: &Path, script: &str) -> Command {
    const SCRIPT: &str = r#"
tree=$1 shared=$2 root=/mnt/root
mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work "$root" || exit 1
mount -t overlay overlay -o "lowerdir=$tree,upperdir=/mnt/upper,workdir=/mnt/work" "$root" || exit 1
mkdir -p "$root$shared" && mount --bind -o ro "$shared" "$root$shared" || exit 1
mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc" && exec chroot "$root" /bin/sh -c "$3"
"#;
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]);
    command.args(["/bin/sh", "-c", SCRIPT, "throwaway"]).arg(root).arg(shared).arg(script);
    command
}
