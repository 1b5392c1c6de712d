//! A database that cannot be written, or read: each request is told so, nothing is stored by halves, what
//! was acknowledged stays, and all is well again when the cause is gone, without a restart.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::command::{Finished, edgeloop, run};
use crate::support::users::{login, registration};
use crate::support::{Connection, Folder, Response, Server};
use rusqlite::Connection as Database;
use rustix::process::{Pid, Resource, Rlimit, getuid, prlimit};
use serde_json::json;

/// Says why a test is not done here. Not by `println!`, which a passing test keeps to itself.
fn skip(why: &str) {
    let told = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

/// A user who changes the own name again and again, and knows what it is.
struct Writer {
    connection: Option<Connection>,
    token: String,
    number: usize,
    acknowledged: String,
}

impl Writer {
    fn new(server: &Server) -> Self {
        let mut connection = server.connect();
        connection
            .post_json("/register", &registration("ann"))
            .expect(201);
        let token = login(&mut connection, "ann", crate::support::users::PASSWORD);
        let mut writer = Self {
            connection: Some(connection),
            token,
            number: 0,
            acknowledged: String::new(),
        };
        assert_eq!(writer.write(), 200);
        writer
    }

    /// Writes another name; the status of the answer.
    fn write(&mut self) -> u16 {
        self.number += 1;
        let name = format!("Name {}", self.number);
        let response = self.put(&name);
        if response.status == 200 {
            self.acknowledged = name;
        } else {
            response.error(response.status);
            let wait: u32 = response.field("Retry-After").unwrap().parse().unwrap();
            assert!(wait > 0);
        }
        response.status
    }

    fn put(&mut self, name: &str) -> Response {
        let body = json!({ "name": name });
        let connection = self.connection.as_mut().unwrap();
        connection.put_json_as(&self.token, "/me", &body)
    }

    /// Checks that everything acknowledged is there, and nothing else.
    fn check(&mut self) {
        assert_eq!(self.me().expect(200).json()["name"], self.acknowledged);
    }

    fn me(&mut self) -> Response {
        let connection = self.connection.as_mut().unwrap();
        connection.get_as(&self.token, "/me")
    }

    /// Ends a server, which would wait for a connection that is open.
    fn stop(&mut self, server: Server) {
        self.connection = None;
        assert_eq!(server.stop().code(), Some(0));
    }
}

fn check_db(folder: &Folder) -> Finished {
    let config = folder.file("server.conf");
    run(edgeloop().arg("check-db").arg("--config").arg(config))
}

fn expect_sound(folder: &Folder) {
    let checked = check_db(folder);
    assert_eq!(checked.code(), Some(0), "{}", checked.stderr);
}

/// Starts a server on a database that is refused; all it says.
fn refusal(folder: &Folder) -> String {
    let mut command = edgeloop();
    command
        .arg("--config")
        .arg(folder.file("server.conf"))
        .current_dir(folder.path());
    let done = run(&mut command);
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    done.stderr
}

/// Starts a server whose database is on a disk of one mebibyte, which nobody else sees: it is gone with the
/// process. `None` where that takes rights we have not.
fn start_on_a_small_disk(folder: &Folder, disk: &Path) -> Option<Server> {
    let can_mount = getuid().is_root()
        && Command::new("unshare")
            .args(["--mount", "mount", "-t", "tmpfs", "tmpfs"])
            .arg(disk)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if !can_mount {
        return None;
    }
    let edgeloop = edgeloop();
    let mut command = Command::new("unshare");
    for (name, value) in edgeloop.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(["--mount", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && exec "$@""#)
        .arg(disk)
        .arg(edgeloop.get_program());
    Some(folder.start_as(command))
}

#[test]
fn a_full_disk_is_told_with_507_until_there_is_room() {
    let folder = Folder::new();
    let disk = folder.file("disk");
    std::fs::create_dir(&disk).unwrap();
    folder.configure(&format!("db_path={}/users.db", disk.display()));
    let Some(server) = start_on_a_small_disk(&folder, &disk) else {
        return skip("no small disk can be mounted, the server was not tried on a full one");
    };
    let mut ann = Writer::new(&server);

    let seen = PathBuf::from(format!("/proc/{}/root{}", server.pid(), disk.display()));
    assert!(seen.join("users.db").exists() && !disk.join("users.db").exists());
    let ballast = seen.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    // There may be a little room in what the database has already.
    let rejected = (0..100).map(|_| ann.write()).find(|status| *status != 200);
    assert_eq!(rejected, Some(507));
    for _ in 0..5 {
        assert_eq!(ann.write(), 507);
        ann.check();
    }
    let mut other = server.connect();
    let bob = other.post_json("/register", &registration("bob"));
    assert_eq!(bob.error(507), "Storage is full, try again later");
    other.get("/").expect(200);
    let line = server.wait_for_log("the disk is full");
    assert!(line.contains("/disk/users.db: "), "{line}");

    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(ann.write(), 200);
    ann.check();
    server.wait_for_log("/disk/users.db: takes writes again");
    other
        .post_json("/register", &registration("bob"))
        .expect(201);
    let mut check = Command::new("nsenter");
    check
        .args(["--mount", "--target", &server.pid().to_string()])
        .arg(edgeloop().get_program())
        .arg("check-db")
        .arg("--config")
        .arg(folder.file("server.conf"));
    let checked = run(&mut check);
    assert!(
        checked.stdout.ends_with("is sound and has 2 users\n"),
        "{checked:?}"
    );
    drop(other);
    ann.stop(server);
}

#[test]
fn a_file_that_may_not_grow_is_told_with_503_until_it_may() {
    let server = Server::start();
    let mut ann = Writer::new(&server);
    let wal = server.folder().file("users.db-wal");
    let limit = |bytes| {
        let pid = Pid::from_raw(server.pid().try_into().unwrap());
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    limit(Some(std::fs::metadata(&wal).unwrap().len()));
    for _ in 0..5 {
        assert_eq!(ann.write(), 503);
        ann.check();
    }
    let line = server.wait_for_log("it cannot be read or written");
    assert!(line.contains("/users.db: "), "{line}");
    limit(None);
    assert_eq!(ann.write(), 200);
    ann.check();
    server.wait_for_log("/users.db: takes writes again");
    expect_sound(server.folder());
}

#[test]
fn a_lock_of_another_process_stops_writes_alone_until_it_goes() {
    let server = Server::start();
    let mut ann = Writer::new(&server);
    let other = Database::open(server.folder().file("users.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for _ in 0..3 {
        assert_eq!(ann.write(), 503);
        ann.check();
    }
    server.login("ann");
    let line = server.wait_for_log("another process has locked it");
    assert!(line.contains("/users.db: "), "{line}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(ann.write(), 200);
    ann.check();
    server.wait_for_log("/users.db: takes writes again");
    expect_sound(server.folder());
}

/// Files that nobody may change, not even root, until this is dropped.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    fn new(files: Vec<PathBuf>) -> Option<Self> {
        let files = Self(files);
        files.chattr("+i").then_some(files)
    }

    fn chattr(&self, mode: &str) -> bool {
        let mut command = Command::new("chattr");
        command.arg(mode).args(&self.0).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        self.chattr("-i");
    }
}

#[test]
fn files_that_may_not_be_written_stop_writes_alone_until_they_may() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    let files = ["users.db", "users.db-wal"].map(|name| folder.file(name));
    let Some(immutable) = Immutable::new(files.to_vec()) else {
        return skip("files cannot be made immutable, the server was not tried with such");
    };
    for _ in 0..3 {
        assert_eq!(ann.write(), 503);
        ann.check();
    }
    server.wait_for_log("/users.db: it cannot be read or written");
    drop(immutable);
    assert_eq!(ann.write(), 200);
    ann.check();
    server.wait_for_log("/users.db: takes writes again");
    ann.stop(server);
    expect_sound(&folder);

    let _immutable = Immutable::new(vec![folder.file("users.db")]).unwrap();
    let said = refusal(&folder);
    assert!(
        said.contains("/users.db: the database may not be written"),
        "{said}"
    );
}

/// Changes what a file holds as a failing disk does: nobody has written it.
fn decay(path: &Path, bytes: &[u8]) {
    let changed_at = std::fs::metadata(path).unwrap().modified().unwrap();
    std::fs::write(path, bytes).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(changed_at).unwrap();
}

#[test]
fn damage_is_told_until_it_is_mended() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    ann.stop(server);
    // What the server has read it does not read again.
    let server = folder.start();
    let path = folder.file("users.db");
    let sound = std::fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    damaged[4096..].fill(0xa5);
    decay(&path, &damaged);

    ann.connection = Some(server.connect());
    ann.me().error(503);
    assert_eq!(ann.write(), 503);
    let line = server.wait_for_log("it is damaged (edgeloop check-db says how");
    assert!(line.contains("/users.db: "), "{line}");
    assert_eq!(check_db(&folder).code(), Some(1));
    server.connect().get("/").expect(200);

    decay(&path, &sound);
    ann.check();
    assert_eq!(ann.write(), 200);
    ann.check();
    ann.stop(server);
    expect_sound(&folder);

    std::fs::write(&path, "no database, and too long to be one by chance").unwrap();
    let said = refusal(&folder);
    assert!(
        said.contains("/users.db: file is not a database: this is no database, or it is damaged"),
        "{said}"
    );
}

/// Everything that needs the database is refused, and the log says why.
fn expect_refusals(server: &Server, ann: &mut Writer, why: &str) {
    assert_eq!(ann.write(), 503);
    ann.me().error(503);
    let mut other = server.connect();
    other
        .post_json("/register", &registration("late"))
        .error(503);
    let ready = other.get("/readyz").expect(503);
    assert!(ready.text().starts_with("the database cannot be used"));
    other.get("/healthz").expect(200);
    let line = server.wait_for_log(why);
    assert!(line.contains("/users.db: "), "{line}");
}

#[test]
fn a_database_that_was_moved_is_not_used_until_it_is_back() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    let (path, away) = (folder.file("users.db"), folder.file("away.db"));
    std::fs::rename(&path, &away).unwrap();
    expect_refusals(&server, &mut ann, "it was moved, removed or replaced");
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(ann.write(), 200);
    ann.check();
    server.wait_for_log("/users.db: takes writes again");
    ann.stop(server);
    expect_sound(&folder);
}

#[test]
fn a_database_that_a_link_leads_to_is_used_and_looked_after_like_any_other() {
    let folder = Folder::new();
    folder.configure("");
    let data = folder.file("data");
    std::fs::create_dir(&data).unwrap();
    // It leads to nothing yet.
    std::os::unix::fs::symlink("data/real.db", folder.file("users.db")).unwrap();
    let server = folder.start();
    let mut ann = Writer::new(&server);
    expect_sound(&folder);

    let (wal, away) = (data.join("real.db-wal"), data.join("away"));
    std::fs::rename(&wal, &away).unwrap();
    expect_refusals(&server, &mut ann, "its -wal or -shm was moved, removed");
    std::fs::rename(&away, &wal).unwrap();
    assert_eq!(ann.write(), 200);

    // The link itself now leads to another one.
    let link = folder.file("users.db");
    std::fs::write(data.join("other.db"), "").unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("data/other.db", &link).unwrap();
    expect_refusals(&server, &mut ann, "it was moved, removed or replaced");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("data/real.db", &link).unwrap();
    assert_eq!(ann.write(), 200);
    ann.check();
    ann.stop(server);
    assert!(!wal.exists(), "a stop in order leaves one file");
    let server = folder.start();
    ann.connection = Some(server.connect());
    ann.check();
    ann.stop(server);
    expect_sound(&folder);
}

#[test]
fn what_was_acknowledged_outlives_the_removal_of_the_wal() {
    for removed in [
        &["users.db-wal", "users.db-shm"][..],
        &["users.db-wal"],
        &["users.db-shm"],
    ] {
        for signal in ["KILL", "TERM"] {
            let server = Server::start();
            let folder = server.folder().clone();
            let mut ann = Writer::new(&server);
            for name in removed {
                std::fs::remove_file(folder.file(name)).unwrap();
            }
            expect_refusals(&server, &mut ann, "its -wal or -shm was moved, removed");
            ann.connection = None;
            server.signal(signal);
            server.wait();
            let server = folder.start();
            ann.connection = Some(server.connect());
            ann.check();
            assert_eq!(ann.write(), 200);
            ann.stop(server);
            expect_sound(&folder);
        }
    }
}

#[test]
fn the_removal_of_the_wal_is_noticed_when_nobody_asks() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    for name in ["users.db-wal", "users.db-shm"] {
        std::fs::remove_file(folder.file(name)).unwrap();
    }
    server.wait_for_log("its -wal or -shm was moved, removed");
    ann.connection = None;
    server.signal("KILL");
    server.wait();
    let server = folder.start();
    ann.connection = Some(server.connect());
    ann.check();
    ann.stop(server);
}

#[test]
fn a_database_that_was_written_over_is_not_used_until_it_was_put_in_order() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    let (path, backup) = (folder.file("users.db"), folder.file("backup.db"));
    let mut command = edgeloop();
    let config = folder.file("server.conf");
    run(command
        .arg("backup")
        .arg(&backup)
        .arg("--config")
        .arg(config));
    let backed_up = ann.acknowledged.clone();
    assert_eq!(ann.write(), 200);
    // As cp does: the same file, other bytes.
    std::fs::write(&path, std::fs::read(&backup).unwrap()).unwrap();
    expect_refusals(
        &server,
        &mut ann,
        "something else than SQLite has written to it",
    );
    assert_eq!(ann.write(), 503, "it stays so");
    ann.stop(server);

    for name in ["users.db-wal", "users.db-shm"] {
        std::fs::remove_file(folder.file(name)).unwrap();
    }
    std::fs::copy(&backup, &path).unwrap();
    let server = folder.start();
    ann.connection = Some(server.connect());
    assert_eq!(ann.me().expect(200).json()["name"], backed_up);
    assert_eq!(ann.write(), 200);
    ann.stop(server);
    expect_sound(&folder);
}

#[test]
fn what_others_do_by_sqlite_disturbs_nobody() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    let path = folder.file("users.db");
    for round in 0..5 {
        let other = Database::open(&path).unwrap();
        for sql in [
            "CREATE TABLE IF NOT EXISTS other (x); INSERT INTO other VALUES (randomblob(300000))",
            "PRAGMA wal_checkpoint(PASSIVE)",
            "DELETE FROM other; PRAGMA wal_checkpoint(TRUNCATE)",
            "VACUUM",
            "PRAGMA wal_checkpoint(RESTART)",
            "INSERT INTO other VALUES (1)",
        ] {
            other.execute_batch(sql).unwrap();
            assert_eq!(ann.write(), 200, "{round}: {sql}");
            ann.check();
        }
        drop(other);
        assert_eq!(ann.write(), 200);
        expect_sound(&folder);
        assert_eq!(ann.write(), 200);
    }
    // Somebody writes back again and again while others write.
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = Database::open(&path).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let sql = "PRAGMA wal_checkpoint(PASSIVE)";
                other.query_row(sql, [], |_| Ok(())).unwrap();
            }
        });
        for _ in 0..300 {
            let status = ann.write();
            if status != 200 {
                is_over.store(true, Ordering::Relaxed);
            }
            assert_eq!(status, 200);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    ann.check();
    ann.stop(server);
    expect_sound(&folder);
}

#[test]
fn what_a_killed_server_left_is_checked_before_it_is_used() {
    let server = Server::start();
    let folder = server.folder().clone();
    let mut ann = Writer::new(&server);
    let told = "the last stop was not in order";
    let kill = |server: Server| {
        server.signal("KILL");
        server.wait();
    };
    kill(server);
    let server = folder.start();
    server.wait_for_log(told);
    ann.connection = Some(server.connect());
    ann.check();
    ann.stop(server);
    let server = folder.start();
    assert!(!server.log_lines().iter().any(|line| line.contains(told)));
    kill(server);

    let path = folder.file("users.db");
    let db = Database::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'users_by_email'";
    let page: u32 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    let page = usize::try_from(page).unwrap();
    // Without its WAL, so that this does not mend what follows.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(db);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let said = refusal(&folder);
        for part in ["/users.db: ", told, "edgeloop backup", "docs/operations.md"] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert_eq!(check_db(&folder).code(), Some(1));
}
