//! The Debian packages: what is in them, and what they do to a Debian 12 and a Debian 13.
//!
//! Run through `cargo xtask test`, which names the two programs; without it the packages build them first.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mailwarden_lab::wait::wait_until;
use mailwarden_lab::{elsewhere, packages};

/// What `systemd-analyze security` may say at most, in tenths; docs/operating/install.md names it.
const WORST_EXPOSURE: u32 = 20;

/// How many commands of a life that failed are shown.
const LAST_COMMANDS: usize = 12;

fn text_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// Both packages, of a revision.
fn build(directory: &Path, revision: &str) -> [PathBuf; 2] {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(["package", "--quick", "--revision", revision, "--output"]).arg(directory);
    let said = text_of(&mut xtask);
    let made: Vec<PathBuf> = said.lines().filter(|line| line.ends_with(".deb")).map(PathBuf::from).collect();
    made.try_into().unwrap()
}

fn dpkg_deb(option: &str, package: &Path) -> String {
    text_of(Command::new("dpkg-deb").arg(option).arg(package))
}

#[test]
fn the_packages_hold_what_they_have_to_at_the_right_place() {
    let directory = tempfile::tempdir().unwrap();
    let [command, gate] = build(directory.path(), "1");
    let (contents, control) = (dpkg_deb("-c", &command), dpkg_deb("-f", &command));
    for path in [
        "-rwxr-xr-x root/root",
        "./usr/bin/mailwarden\n",
        "./usr/bin/mailwarden-verify\n",
        "./etc/mailwarden/mailwarden.toml\n",
        "./etc/mailwarden/policy/\n",
        "./usr/lib/sysusers.d/mailwarden.conf\n",
        "./usr/lib/systemd/system/mailwarden-sweep.timer\n",
        "./usr/lib/systemd/system/mailwarden-review.timer\n",
        "./usr/lib/systemd/system/mailwarden-anchor.timer\n",
        "./usr/share/man/man1/mailwarden.1.gz\n",
        "./usr/share/man/man1/mailwarden-sweep.1.gz\n",
        "./usr/share/man/man1/mailwarden-ledger-anchor.1.gz\n",
        "./usr/share/man/man5/mailwarden.toml.5.gz\n",
        "./usr/share/bash-completion/completions/mailwarden\n",
        "./usr/share/zsh/vendor-completions/_mailwarden\n",
        "./usr/share/fish/vendor_completions.d/mailwarden.fish\n",
        "./usr/share/mailwarden/sigma/dovecot-redirect.yml\n",
        "./usr/share/mailwarden/mailwarden.cdx.json\n",
    ] {
        assert!(contents.contains(path), "no {path:?} in\n{contents}");
    }
    let written_by_others = |line: &&str| {
        line.get(8..9) == Some("w") || !line.contains(" root/root ") && !line.contains("root/root")
    };
    assert_eq!(contents.lines().find(written_by_others), None);
    assert!(control.contains("\nVersion: 0.1.0-1\n") && control.contains("libc6 (>= 2."), "{control}");
    let control = dpkg_deb("-f", &gate);
    assert!(control.contains("mailwarden (= 0.1.0-1)"), "{control}");
    assert!(dpkg_deb("-c", &gate).contains("./usr/sbin/mailwarden-milter\n"));
    let unpacked = directory.path().join("unpacked");
    text_of(Command::new("dpkg-deb").arg("-R").arg(&command).arg(&unpacked));
    let conffiles = std::fs::read_to_string(unpacked.join("DEBIAN/conffiles")).unwrap();
    assert_eq!(conffiles, "/etc/mailwarden/mailwarden.toml\n");
    let bill = std::fs::read_to_string(unpacked.join("usr/share/mailwarden/mailwarden.cdx.json")).unwrap();
    assert!(bill.contains("\"CycloneDX\"") && bill.contains("pkg:cargo/rustls@"), "{bill}");
    text_of(Command::new("md5sum").args(["--quiet", "-c", "DEBIAN/md5sums"]).current_dir(&unpacked));
}

#[test]
fn two_packages_of_the_same_programs_are_the_same() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = directories.each_ref().map(|directory| build(directory.path(), "1"));
    for (one, other) in first.iter().zip(&second) {
        let same = std::fs::read(one).unwrap() == std::fs::read(other).unwrap();
        assert!(same, "{} differs", one.display());
    }
}

#[test]
fn maintainer_scripts_are_read_by_a_shell_and_never_touch_a_mail_server() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/debian");
    let mut read = 0;
    for entry in std::fs::read_dir(scripts).unwrap() {
        let path = entry.unwrap().path();
        if !path.extension().is_some_and(|kind| kind.to_string_lossy().starts_with('p')) {
            continue;
        }
        text_of(Command::new("/bin/dash").arg("-n").arg(&path));
        let text = std::fs::read_to_string(&path).unwrap();
        let acts = |line: &&str| !line.trim_start().starts_with('#') && !line.contains("echo ");
        for line in text.lines().filter(acts) {
            let touches = ["postfix ", "postconf -e", "dovecot", "main.cf", "ledger.db", "rm -r"];
            assert!(!touches.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
        }
        read += 1;
    }
    assert_eq!(read, 6);
}

#[test]
#[ignore = "slow: needs Debian's systemd for its analysis"]
fn every_unit_is_as_closed_as_documented() {
    packages::ensure_slow_installed(&mut |_step| {}).unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let documented = std::fs::read_to_string(deploy.join("../docs/operating/install.md")).unwrap();
    let bound = format!("{}.{}", WORST_EXPOSURE / 10, WORST_EXPOSURE % 10);
    assert!(documented.contains(&format!("at most {bound}")), "the page names another bound than {bound}");
    let mut units = 0;
    for entry in std::fs::read_dir(deploy).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "service") {
            continue;
        }
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=true", "--no-pager"]);
        // A threshold that is exceeded is a failure of the command.
        text_of(analyze.arg(format!("--threshold={WORST_EXPOSURE}")).arg(&path));
        units += 1;
    }
    assert_eq!(units, 4);
}

// --- on a Debian ----------------------------------------------------------------------------------------------------

/// One life of the packages beside a Postfix that runs; each step prints its name and what is there then.
const LIFE: &str = r#"
set -e
everything() { find / -xdev \( -path /proc -o -path /dev -o -path /tmp -o -path /mnt -o -path /var/lib/dpkg -o -path /var/log \
    -o -path /var/cache -o -path /var/spool -o -path /var/lib/postfix -o -path /var/mail -o -path "$SHARED" \) \
    -prune -o -print | sort; }
untouched() { find /etc/postfix -type f | sort | xargs md5sum | cmp - /tmp/postfix-before && echo "postfix untouched"; }
until_true() { timeout 60 sh -c "until $1; do sleep 0.05; done" || { echo "in vain: $1" >&2; exit 1; }; }
# Postfix runs on, and it is the same one: its master was not restarted, and takes mail.
letters=0
delivers() {
    letters=$((letters + 1))
    printf 'Subject: letter %s\n\n' "$letters" | sendmail -f root root
    until_true "grep -q 'Subject: letter $letters$' /var/mail/root"
    cmp /var/spool/postfix/pid/master.pid /tmp/master && echo "postfix delivers"
}
milter_conf=/etc/postfix/main.cf
printf '%s\n' 'compatibility_level = 3.6' 'myhostname = mx.example.test' 'mydestination = $myhostname' 'alias_maps =' \
    'master_service_disable = inet' 'maillog_file = /var/log/postfix.log' 'inet_protocols = ipv4' >$milter_conf
: >/var/mail/root
postfix start
until_true "test -s /var/spool/postfix/pid/master.pid"
cp /var/spool/postfix/pid/master.pid /tmp/master
delivers >/dev/null
everything >/tmp/before; find /etc/postfix -type f | sort | xargs md5sum >/tmp/postfix-before
echo "== install"
dpkg -i $SHARED/*-1_*.deb
stat -c '%a %U:%G %n' /var/lib/mailwarden /var/lib/mailwarden/reports
untouched; delivers
dpkg --verify mailwarden mailwarden-milter && echo "verified"
cp /usr/share/doc/mailwarden/examples/policy.toml /etc/mailwarden/policy/client.toml
as() { setpriv --reuid=mailwarden --regid=mailwarden --clear-groups timeout 60 "$@"; }
as mailwarden check >/dev/null 2>&1 || echo "check said $?"
# Whoever is root makes the ledger first, and it is the service's all the same.
mailwarden-milter --config /etc/mailwarden/mailwarden.toml --listen unix:/tmp/first.sock >/dev/null 2>/tmp/gate.log & gate=$!
until_true "grep -q 'the gate is open' /tmp/gate.log"
kill $gate; wait $gate
as mailwarden-milter --config /etc/mailwarden/mailwarden.toml --check
# Not by the function: its process would be the shell's, not the gate's.
setpriv --reuid=mailwarden --regid=mailwarden --clear-groups mailwarden-milter \
    --config /etc/mailwarden/mailwarden.toml --listen unix:/tmp/gate.sock >/dev/null 2>/tmp/gate.log & gate=$!
until_true "grep -q 'the gate is open' /tmp/gate.log"
kill $gate; wait $gate
stat -c '%U %n' /var/lib/mailwarden/ledger.db
echo "== letters"
drop_in=/usr/share/doc/mailwarden/examples/mailwarden-sweep-letters.conf
of_drop_in() { sed -n "s/^$1=//p" $drop_in; }
# As the unit confines it: no new privileges, of what Postfix has nothing can be written but the path named, and of
# address families only those that the drop-in adds to the unit's.
without_netlink=$SHARED/without_netlink
case " $(of_drop_in RestrictAddressFamilies) " in *" AF_NETLINK "*) with_netlink= ;; *) with_netlink=$without_netlink ;; esac
letter() { unshare --mount sh -c '[ -z "$2" ] || mount --bind "$2" "$2"
    mount --rbind /var/spool /var/spool; mount -o remount,bind,ro /var/spool
    printf "Subject: %s\n\n" "$3" | timeout 3 setpriv --reuid=mailwarden --regid=mailwarden $1 --no-new-privs $4 sendmail -i root' \
    letter "$@"; }
letter --clear-groups "$(of_drop_in ReadWritePaths)" ungrouped "$with_netlink" && echo "a letter without the group"
letter "--groups $(of_drop_in SupplementaryGroups)" "" unwritable "$with_netlink" && echo "a letter without the directory"
grouped="--groups $(of_drop_in SupplementaryGroups)"
letter "$grouped" "$(of_drop_in ReadWritePaths)" unaddressed "$without_netlink" && echo "a letter without the family"
letter "$grouped" "$(of_drop_in ReadWritePaths)" confined "$with_netlink"
until_true "grep -q 'Subject: confined$' /var/mail/root" && echo "a letter with the drop-in"
echo "== upgrade"
echo '# edited by an admin' >>/etc/mailwarden/mailwarden.toml
dpkg -i $SHARED/*-2_*.deb
tail -1 /etc/mailwarden/mailwarden.toml
dpkg-query -W -f '${Package} ${Version}\n' mailwarden mailwarden-milter
as mailwarden ledger show | grep -c policy.loaded
untouched; delivers
echo "== remove"
mkdir -p /etc/systemd/system/sockets.target.wants /etc/systemd/system/timers.target.wants
ln -s /usr/lib/systemd/system/mailwarden-milter.socket /etc/systemd/system/sockets.target.wants/
ln -s /usr/lib/systemd/system/mailwarden-sweep.timer /etc/systemd/system/timers.target.wants/
echo 'smtpd_milters = unix:/run/mailwarden/gate.sock' >>$milter_conf
dpkg -r mailwarden-milter mailwarden 2>&1
ls /etc/mailwarden/mailwarden.toml /var/lib/mailwarden/ledger.db
delivers
echo "== purge"
dpkg -P mailwarden-milter mailwarden 2>&1
everything >/tmp/after; diff /tmp/before /tmp/after | grep '^[<>]' || true
tail -1 $milter_conf
delivers
echo "== empty"
rm -r /var/lib/mailwarden /etc/mailwarden
dpkg -i $SHARED/*-2_*.deb >/dev/null; dpkg -P mailwarden-milter mailwarden 2>&1 | grep kept || true
everything >/tmp/after; diff /tmp/before /tmp/after | grep '^[<>]' || true
"#;
/// Runs a command that gets no netlink socket, as systemd's RestrictAddressFamilies= refuses it.
const WITHOUT_NETLINK: &str = r"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
int main(int count, char **words) {
    struct sock_filter steps[] = {LOAD(nr), IS(SYS_socket, 0, 3), LOAD(args[0]), IS(AF_NETLINK, 0, 1),
        ANSWER(SECCOMP_RET_ERRNO | 97), ANSWER(SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {6, steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 99;
    execvp(words[1], words + 1);
    return 98;
}
";

fn compile(source: &str, program: &Path) {
    let file = program.with_extension("c");
    std::fs::write(&file, source).unwrap();
    text_of(Command::new("/usr/bin/cc").arg("-static").arg("-o").arg(program).arg(file));
}

/// A life takes ten seconds; on a machine that has much else to do it takes minutes.
const LIFETIME: Duration = Duration::from_secs(240);

/// The steps of a life and what each of them printed. One that fails, or hangs, is shown to its last command.
fn life(release: &str) -> Vec<(String, String)> {
    packages::ensure_slow_installed(&mut |_| {}).unwrap();
    let root = elsewhere::installable(release, &mut |_| {}).unwrap();
    let directory = tempfile::tempdir().unwrap();
    build(directory.path(), "1");
    build(directory.path(), "2");
    compile(WITHOUT_NETLINK, &directory.path().join("without_netlink"));
    let script = LIFE.replace("$SHARED", &directory.path().display().to_string());
    let said = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap_or_default();
    let file = |name: &str| std::fs::File::create(directory.path().join(name)).unwrap();
    let mut lived = elsewhere::throwaway(&root, directory.path(), &format!("set -x\n{script}"));
    let mut lived = lived.stdin(Stdio::null()).stdout(file("said")).stderr(file("commands")).spawn().unwrap();
    let ended = wait_until(LIFETIME, "the end of the packages' life", || lived.try_wait().unwrap());
    let story = || {
        let commands = said("commands");
        let last = commands.lines().count().saturating_sub(LAST_COMMANDS);
        format!(
            "{}\nlast commands:\n{}",
            said("said"),
            commands.lines().skip(last).collect::<Vec<_>>().join("\n")
        )
    };
    if let Err(error) = &ended {
        // The rest of its processes end with it.
        let _ = lived.kill().and_then(|()| lived.wait());
        panic!("{release}: {error}\n{}", story());
    }
    assert!(ended.unwrap().success(), "{release}: {}", story());
    let said = said("said");
    let steps = said.split("== ").skip(1).filter_map(|step| step.split_once('\n'));
    steps.map(|(name, said)| (name.to_owned(), said.to_owned())).collect()
}

fn lives_as_debian_wants(release: &str) {
    let steps = life(release);
    let step = |name: &str| &steps.iter().find(|(own, _)| own == name).unwrap().1;
    for name in ["install", "upgrade", "remove", "purge"] {
        assert!(step(name).contains("postfix delivers\n"), "{release}: after {name}: {}", step(name));
    }
    let installed = step("install");
    for line in [
        "750 mailwarden:mailwarden /var/lib/mailwarden\n",
        "750 mailwarden:mailwarden /var/lib/mailwarden/reports\n",
        "postfix untouched\n",
        "verified\n",
        "\nmailwarden /var/lib/mailwarden/ledger.db\n",
    ] {
        assert!(installed.contains(line), "{release}: no {line:?} in {installed}");
    }
    assert!(!installed.contains("check said 2"), "{release}: {installed}");
    // Each part of the drop-in is needed, and together they are enough.
    assert_eq!(step("letters"), "a letter with the drop-in\n", "{release}");
    let upgraded = step("upgrade");
    for line in ["# edited by an admin\n", "mailwarden 0.1.0-2\n", "\n2\n", "postfix untouched\n"] {
        assert!(upgraded.contains(line), "{release}: no {line:?} in {upgraded}");
    }
    let removed = step("remove");
    assert!(removed.contains("Postfix still asks the gate"), "{release}: {removed}");
    assert!(
        removed.contains("/etc/mailwarden/mailwarden.toml\n/var/lib/mailwarden/ledger.db\n"),
        "{removed}"
    );
    let purged = step("purge");
    assert!(purged.contains("kept the ledger and the reports in /var/lib/mailwarden"), "{release}: {purged}");
    assert!(purged.contains("smtpd_milters = unix:/run/mailwarden/gate.sock"), "{release}: {purged}");
    let kept: Vec<_> = purged.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    let ours =
        |path: &&&str| !path.starts_with("/var/lib/mailwarden") && !path.starts_with("/etc/systemd/system");
    let besides: Vec<_> = kept.iter().filter(ours).collect();
    assert_eq!(
        besides,
        [&"/etc/mailwarden", &"/etc/mailwarden/policy", &"/etc/mailwarden/policy/client.toml"]
    );
    assert!(!kept.iter().any(|path| path.contains("wants/mailwarden")), "{release}: {purged}");
    // The account stays, as Debian's accounts do; of files nothing does.
    let empty = step("empty");
    let left: Vec<_> = empty.lines().filter(|line| !line.contains("/etc/systemd/system")).collect();
    assert!(left.is_empty(), "{release}: {left:?}");
}

#[test]
#[ignore = "slow: a Debian 12 of its own"]
fn the_packages_live_on_debian_12() {
    lives_as_debian_wants("bookworm");
}

#[test]
#[ignore = "slow: a Debian 13 of its own"]
fn the_packages_live_on_debian_13() {
    lives_as_debian_wants("trixie");
}

#[test]
#[ignore = "slow: lintian unpacks everything"]
fn lintian_has_no_errors() {
    packages::ensure_slow_installed(&mut |_| {}).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let made = build(directory.path(), "1");
    let said = text_of(Command::new("lintian").args(["--allow-root", "--fail-on=error"]).args(made));
    assert!(!said.lines().any(|line| line.starts_with("E:")), "{said}");
}
