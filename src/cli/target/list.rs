//! `floorgate target list`: where events are posted.

use std::process::ExitCode;

use serde::Serialize;

use crate::app::Exit;
use crate::cli::ConfigFile;
use crate::cli::print::{self, table};
use crate::config::{self, Config};
use crate::target::{ClientAuth, Login};

/// List the targets of a configuration: address, login, lanes.
///
/// Reads the configuration and connects to nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate target list
  floorgate target list --json | jq -r '.[].id'";

pub(super) fn run(args: &Args) -> ExitCode {
    let config = match config::load(&args.config.path) {
        Ok(config) => config,
        Err(faults) => return print::refuse(args.json, &print::faults(&faults), Exit::Config),
    };
    let targets: Vec<Listed<'_>> = (0..config.targets.len()).map(|index| Listed::of(&config, index)).collect();
    if args.json {
        print::out(&print::json(&targets));
        return Exit::Clean.into();
    }
    let rows: Vec<[String; 4]> = targets
        .iter()
        .map(|t| [t.id.to_owned(), t.url.to_owned(), t.login.clone(), format!("lanes: {}", t.lanes.join(", "))])
        .collect();
    let mut text = String::new();
    table(&mut text, &rows, 4);
    print::out(&text);
    Exit::Clean.into()
}

#[derive(Serialize)]
struct Listed<'c> {
    id: &'c str,
    url: &'c str,
    lookup: Option<&'c str>,
    /// In words; without secrets.
    login: String,
    lanes: Vec<&'c str>,
}

impl<'c> Listed<'c> {
    fn of(config: &'c Config, index: usize) -> Self {
        let target = &config.targets[index];
        let lanes = config.lanes.iter().filter(|lane| lane.target == index);
        let certificate = target.tls.own.as_ref().map(|_| "certificate".to_owned());
        let login: Vec<String> = target.login.as_ref().map(words).into_iter().chain(certificate).collect();
        Self {
            id: &target.id,
            url: &target.url,
            lookup: target.lookup.as_ref().map(|lookup| lookup.url.as_str()),
            login: if login.is_empty() { "no login".to_owned() } else { login.join(" and ") },
            lanes: lanes.map(|lane| lane.id.as_str()).collect(),
        }
    }
}

fn words(login: &Login) -> String {
    match login {
        Login::Bearer { .. } => "bearer token".to_owned(),
        Login::Basic { user, .. } => format!("basic, user {user}"),
        Login::ApiKey { header, .. } => format!("API key in {header}"),
        Login::OAuth(oauth) => {
            let shown = if oauth.client_auth == ClientAuth::Body { " (in the body)" } else { "" };
            format!("OAuth 2.0, client {}{shown} at {}", oauth.client_id, oauth.token_url)
        }
    }
}
