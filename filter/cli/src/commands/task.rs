//! `everycall task`: the tasks of a server, started, looked at and ended.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, Url};
use serde_json::{json, Value};

use super::{explain, Invalid, Outcome};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Start, end and list the tasks that short-lived tokens are bound to
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Start(StartArgs),
    End(EndArgs),
    List(ListArgs),
    Show(ShowArgs),
}

#[derive(clap::Args)]
struct Server {
    /// The server that knows the tasks, such as `everycall devserver`
    #[arg(long, value_name = "URL", value_parser = url)]
    server: Url,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Start a task: tokens can be bound to it until it ends
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall task start order:o-1001 --owner user:alice --server http://127.0.0.1:8081\n\n\
    Exit code 1 if the server refuses, as it does where the id was used before.")]
struct StartArgs {
    /// Its id; default: the next free number
    id: Option<String>,
    /// Who answers for it
    #[arg(long)]
    owner: String,
    #[command(flatten)]
    server: Server,
}

/// End a task: what it holds is revoked, and it gets no more tokens
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall task end order:o-1001 --reason 'refund is done' --server http://127.0.0.1:8081\n\n\
    To end one that has ended is no error. Exit code 1 if there is no such task.")]
struct EndArgs {
    /// Its id
    id: String,
    /// Why; stands in the revocation
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Its number in the system that ends it; stands in the revocation
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// List all tasks
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall task list --server http://127.0.0.1:8081")]
struct ListArgs {
    #[command(flatten)]
    server: Server,
}

/// Show one task
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall task show order:o-1001 --server http://127.0.0.1:8081\n\n\
    Exit code 1 if there is no such task.")]
struct ShowArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Start(StartArgs { id, owner, server }) => {
            let mut body = json!({"owner": owner});
            if let (Some(id), Some(members)) = (id, body.as_object_mut()) {
                members.insert("id".into(), id.as_str().into());
            }
            server.show(out, &server.call(Method::POST, &["tasks"], Some(&body))?)
        }
        Command::End(EndArgs { id, reason, ticket, server }) => {
            let given = [("reason", reason), ("ticket", ticket)];
            let given =
                given.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
            let body = Value::Object(given.collect());
            let task = server.call(Method::POST, &["tasks", id, "end"], Some(&body))?;
            if task.get("revoked_by").is_none() {
                eprintln!(
                    "WARNING: the server revoked nothing: tokens of the task are good until they expire"
                );
            }
            server.show(out, &task)
        }
        Command::Show(ShowArgs { id, server }) => {
            server.show(out, &server.call(Method::GET, &["tasks", id], None)?)
        }
        Command::List(ListArgs { server }) => list(server, out),
    }
}

fn list(server: &Server, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    const COLUMNS: [&str; 6] = ["id", "owner", "state", "started_at", "ended_at", "tokens"];
    let document = server.call(Method::GET, &["tasks"], None)?;
    if server.json {
        super::write_line(out, &document)?;
        return Ok(Outcome::Good);
    }
    let tasks =
        document.get("tasks").and_then(Value::as_array).context("the server's answer has no `tasks`")?;
    if tasks.is_empty() {
        writeln!(out, "no tasks")?;
        return Ok(Outcome::Good);
    }
    let head = COLUMNS.map(|name| name.replace('_', " "));
    let rows = tasks.iter().map(|task| COLUMNS.map(|name| task.get(name).map(cell).unwrap_or_default()));
    super::table(out, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    Ok(Outcome::Good)
}

impl Server {
    /// What the server answers. What it refuses is an error with the words that it has for it.
    fn call(&self, method: Method, path: &[&str], body: Option<&Value>) -> anyhow::Result<Value> {
        let mut url = self.server.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("`{}` is no base for a path", self.server))?
            .pop_if_empty()
            .extend(path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, text) = runtime.block_on(async {
            // The proxy of this machine has no say.
            let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
            let request = client.request(method, url.clone());
            let request = body.into_iter().fold(request, reqwest::RequestBuilder::json);
            let answer = request.send().await?;
            let status = answer.status();
            anyhow::Ok((status, answer.bytes().await?))
        })?;
        let answer: Option<Value> = serde_json::from_slice(&text).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            Some(answer) if status.is_client_error() => {
                let words = answer.get("error_description").and_then(Value::as_str);
                let message = words.map_or_else(|| format!("status {}", status.as_u16()), explain::visible);
                Err(Invalid { problems: vec![(self.server.to_string(), message)], unreadable: false }.into())
            }
            _ => anyhow::bail!("`{url}` answered with status {} and no task", status.as_u16()),
        }
    }

    /// One task.
    fn show(&self, out: &mut dyn Write, task: &Value) -> anyhow::Result<Outcome> {
        if self.json {
            super::write_line(out, task)?;
            return Ok(Outcome::Good);
        }
        let members = task.as_object().context("the server's answer is no task")?;
        let rows: Vec<[String; 2]> = ORDER
            .into_iter()
            .filter_map(|name| Some([name.replace('_', " "), cell(members.get(name)?)]))
            .collect();
        super::table(out, &rows)?;
        Ok(Outcome::Good)
    }
}

/// How the members of a task are shown.
const ORDER: [&str; 9] =
    ["id", "owner", "state", "started_at", "ended_at", "reason", "ticket", "tokens", "revoked_by"];

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => explain::visible(text),
        other => other.to_string(),
    }
}

fn url(text: &str) -> Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(url),
        _ => Err("expected a URL such as `http://127.0.0.1:8081`".to_owned()),
    }
}
