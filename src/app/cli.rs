//! The command line of `edgeloop`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::cert::CertRequest;

const AFTER_HELP: &str = "\
Environment (beats the configuration file):
  SECRET_KEY              signs the login tokens; required, at least 16 bytes, better 32
                          (make one with: openssl rand -hex 32)
  SERVER_PORT             port
  SERVER_MAX_CONNECTIONS  max_connections
  SERVER_LOG_LEVEL        log_level
  DB_PATH                 db_path
  RUST_LOG                log filter that beats log_level, such as debug

Signals:
  SIGHUP                  read configuration and certificates again
  SIGUSR2                 start another server on the same sockets, stop when it listens
  SIGINT, SIGTERM         finish what is open, then stop

Exit codes:
  0  stopped by a signal, or done
  1  failed while starting or running
  2  wrong usage, configuration or certificate files";

/// HTTPS and WebSocket server on an edge-triggered epoll reactor.
#[derive(Debug, Parser)]
#[command(
    name = "edgeloop",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// Subcommand to run instead of the server.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Configuration file [default: server.conf if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Look for all that a start would stop at or warn of, and start nothing
    #[arg(long)]
    pub check: bool,

    /// Write the port to FILE once the server listens (for port=0)
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a self-signed certificate and its key: cert.pem and key.pem
    Cert(CertArgs),
    /// Print a server.conf with every key, its default and what it is for
    Config,
    /// Read all of the database and say whether it is sound; a server may be using it
    CheckDb(DbArgs),
    /// Copy the database as it is now to a new file; a server may be using it
    Backup(BackupArgs),
}

/// The arguments of `edgeloop check-db`.
#[derive(Debug, Args)]
pub struct DbArgs {
    /// Configuration file that names the database [default: server.conf if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The arguments of `edgeloop backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to make
    #[arg(value_name = "FILE")]
    pub to: PathBuf,

    /// Which database.
    #[command(flatten)]
    pub db: DbArgs,
}

/// The arguments of `edgeloop cert`.
#[derive(Debug, Args)]
pub struct CertArgs {
    /// Folder for the two files, made when missing
    #[arg(long, value_name = "DIR", default_value = "certs")]
    pub out_dir: PathBuf,

    /// DNS name or IP address the certificate is for; may be given several times
    /// [default: localhost, 127.0.0.1 and ::1]
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,

    /// Days until it expires
    #[arg(
        long,
        value_name = "N",
        default_value_t = 365,
        value_parser = clap::value_parser!(u32).range(1..=36_500)
    )]
    pub days: u32,

    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
}

impl From<CertArgs> for CertRequest {
    fn from(args: CertArgs) -> Self {
        Self {
            out_dir: args.out_dir,
            hosts: args.hosts,
            days: args.days,
            force: args.force,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["edgeloop"], arguments].concat())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_arguments_of_the_server() {
        let cli = parse(&["--config", "a.conf", "--check", "--port-file", "p"]).unwrap();
        assert_eq!(cli.config.as_deref(), Some(Path::new("a.conf")));
        assert_eq!(cli.port_file.as_deref(), Some(Path::new("p")));
        assert!(cli.check && cli.command.is_none());
        let cli = parse(&[]).unwrap();
        assert!(cli.config.is_none() && cli.port_file.is_none() && !cli.check);
    }

    #[test]
    fn all_arguments_of_cert() {
        let arguments = [
            "cert",
            "--out-dir",
            "d",
            "--host",
            "a",
            "--host",
            "::1",
            "--days",
            "9",
        ];
        let Some(Command::Cert(args)) = parse(&arguments).unwrap().command else {
            panic!("no cert");
        };
        let request = CertRequest::from(args);
        assert_eq!(request.out_dir, Path::new("d"));
        assert_eq!(request.hosts, ["a", "::1"]);
        assert_eq!((request.days, request.force), (9, false));

        let Some(Command::Cert(args)) = parse(&["cert", "--force"]).unwrap().command else {
            panic!("no cert");
        };
        assert_eq!(args.out_dir, Path::new("certs"));
        assert_eq!((args.days, args.force, args.hosts.len()), (365, true, 0));
    }

    #[test]
    fn wrong_usage_ends_with_code_2() {
        for arguments in [
            &["--colour"][..],
            &["--config"],
            &["serve"],
            &["cert", "--days", "0"],
            &["--check", "cert"],
        ] {
            assert_eq!(
                parse(arguments).unwrap_err().exit_code(),
                2,
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn help_tells_variables_signals_and_exit_codes() {
        let error = parse(&["--help"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayHelp);
        assert_eq!(error.exit_code(), 0);
        let help = error.to_string();
        for word in ["SECRET_KEY", "SIGHUP", "Exit codes", "--port-file", "cert"] {
            assert!(help.contains(word), "{word}: {help}");
        }
        let version = parse(&["--version"]).unwrap_err();
        assert_eq!(
            version.to_string(),
            format!("edgeloop {}\n", env!("CARGO_PKG_VERSION"))
        );
    }
}
