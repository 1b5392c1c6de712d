//! The `edgeloop` command: arguments, configuration, logger, then the server.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use edgeloop::app::cert;
use edgeloop::app::cli::{BackupArgs, CertArgs, Cli, Command, DbArgs};
use edgeloop::app::config::{Config, Loaded, environment, server_conf};
use edgeloop::app::handover;
use edgeloop::app::logging::Logging;
use edgeloop::app::preflight;
use edgeloop::app::reload::ConfigFile;
use edgeloop::app::server::{self, Setup};
use edgeloop::app::signals;
use edgeloop::app::store::maintenance;

/// Wrong usage, configuration or certificate files; clap uses the same.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    match cli.command.take() {
        Some(Command::Cert(args)) => make_cert(args),
        Some(Command::Config) => print_config(),
        Some(Command::CheckDb(args)) => with_db(args, |db| {
            let users = maintenance::check(db)?;
            Ok(format!("{} is sound and has {users} users", db.display()))
        }),
        Some(Command::Backup(BackupArgs { to, db })) => with_db(db, |db| {
            let users = maintenance::backup(db, &to)?;
            Ok(format!("{} has {users} users", to.display()))
        }),
        None => start(cli),
    }
}

fn print_config() -> ExitCode {
    match io::stdout().write_all(server_conf().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => reject(&[format!("cannot write the configuration: {error}")]),
    }
}

fn start(cli: Cli) -> ExitCode {
    if let Err(error) = signals::hear_early() {
        return reject(&[format!("cannot take signals: {error}")]);
    }
    let mut config_file = ConfigFile::new(cli.config, handover::required_config());
    let loaded = match config_file.load() {
        Ok(loaded) => loaded,
        Err(errors) => return reject(errors.findings()),
    };
    let files = preflight::files(&loaded.config, cli.port_file.as_deref());
    let inherited = handover::inherited().map_err(|error| format!("LISTEN_FDS: {error}"));
    if cli.check {
        let (mut errors, warnings) = match files {
            Ok((_, tls)) => (Vec::new(), tls.warnings),
            Err(errors) => (errors, Vec::new()),
        };
        let is_activated = inherited.as_ref().is_ok_and(|sockets| !sockets.is_empty());
        errors.extend(inherited.err());
        return report(&loaded, errors, &warnings, is_activated);
    }
    let (tls_files, tls) = match files {
        Ok(tls) => tls,
        Err(errors) => return reject(&errors),
    };
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => return reject(&[error]),
    };
    let rust_log = environment("RUST_LOG");
    let logging = match Logging::install(&loaded.config, rust_log.as_deref()) {
        Ok(logging) => logging,
        Err(error) => return reject(&[error]),
    };
    log_panics();
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    for warning in &tls.warnings {
        log::warn!("{warning}");
    }
    config_file.has_read(&loaded);
    server::run(Setup {
        config: loaded.config,
        config_file,
        tls_files,
        tls,
        port_file: cli.port_file,
        inherited,
        logging,
    })
}

/// A panic leaves a trace in the log too, which outlives standard error.
fn log_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log::error!("{panic}");
        default(panic);
    }));
}

/// Tells all that a start would find; `errors` are known already, and `warnings` of certificates.
fn report(
    loaded: &Loaded,
    mut errors: Vec<String>,
    warnings: &[String],
    is_activated: bool,
) -> ExitCode {
    let found = preflight::rehearse(&loaded.config, is_activated);
    for error in found.errors {
        // A folder that is missing is found twice.
        let key = error.split(": ").next().unwrap_or_default();
        if !errors.iter().any(|known| known.starts_with(key)) {
            errors.push(error);
        }
    }
    for warning in &loaded.warnings {
        complain(format_args!("warning: {warning}"));
    }
    for warning in warnings.iter().chain(&found.warnings) {
        complain(format_args!("warning: {warning}"));
    }
    if errors.is_empty() {
        say(format_args!("configuration is valid"))
    } else {
        reject(&errors)
    }
}

/// Does something with the database that the configuration names.
fn with_db(
    args: DbArgs,
    work: impl FnOnce(&Path) -> Result<String, maintenance::MaintenanceError>,
) -> ExitCode {
    // The secret is for tokens: whoever looks after the database need not have it.
    let any_secret = || Some("-".repeat(32));
    let environment = |name: &str| match name {
        "SECRET_KEY" => any_secret(),
        name => environment(name),
    };
    match Config::load(args.config.as_deref(), environment) {
        Err(errors) => reject(errors.findings()),
        Ok(loaded) => match work(&loaded.config.db_path) {
            Ok(line) => say(line),
            Err(error) => {
                complain(error);
                ExitCode::FAILURE
            }
        },
    }
}

fn make_cert(args: CertArgs) -> ExitCode {
    match cert::make(&args.into()) {
        Ok(files) => say(format_args!(
            "wrote {} and {}",
            files.cert.display(),
            files.key.display()
        )),
        Err(error) => reject(&[error]),
    }
}

/// Tells every error; the exit code says that nothing was started.
fn reject(errors: &[impl Display]) -> ExitCode {
    for error in errors {
        complain(error);
    }
    ExitCode::from(USAGE)
}

fn say(line: impl Display) -> ExitCode {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(line: impl Display) {
    // With standard error gone there is nobody left to tell.
    writeln!(io::stderr(), "{line}").ok();
}
