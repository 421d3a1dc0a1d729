//! Drives the adapter as Envoy does: contexts, callbacks, and callouts that are answered later.

use everycall::WireRequest;
use everycall_core::{DecisionRecord, Reply};
use serde_json::Value;

use crate::fake::{self, host, Callout, LocalResponse, Pairs};

/// The filter's answers to a request callback (`proxy_action_t`).
pub const CONTINUE: u32 = 0;
pub const PAUSE: u32 = 1;

const ROOT: u32 = 1;

/// Runs on a thread of its own, which is a VM of its own: the module's statics are per thread.
pub fn fresh<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap()
}

/// One VM with a configured root context.
pub struct Vm {
    next: u32,
}

/// What came of one request.
#[derive(Debug)]
pub struct Outcome {
    /// It reached the upstream.
    pub passed: bool,
    /// The local answer, if one was sent.
    pub response: Option<LocalResponse>,
    /// Its record, from the log.
    pub record: Option<DecisionRecord>,
    /// The filter state for the access log.
    pub summary: Option<Value>,
}

impl Vm {
    /// A VM with this configuration.
    pub fn start(configuration: &Value) -> Result<Self, String> {
        Self::start_raw(configuration.to_string().as_bytes())
    }

    /// A VM with this text as configuration; an error holds the log.
    pub fn start_raw(configuration: &[u8]) -> Result<Self, String> {
        let vm = Self::unconfigured();
        match vm.configure(ROOT, configuration) {
            true => Ok(vm),
            false => {
                Err(host(|host| host.log.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>().join("\n")))
            }
        }
    }

    /// A VM whose root context has no configuration.
    pub fn unconfigured() -> Self {
        unsafe {
            fake::_initialize();
            fake::proxy_on_context_create(ROOT, 0);
            assert!(fake::proxy_on_vm_start(ROOT, 0));
        }
        Self { next: ROOT + 1 }
    }

    /// Hands a configuration to a root context.
    pub fn configure(&self, root: u32, configuration: &[u8]) -> bool {
        host(|host| host.configuration = configuration.to_vec());
        unsafe { fake::proxy_on_configure(root, configuration.len()) }
    }

    /// A further root context, as a changed configuration brings one.
    pub fn new_root(&mut self) -> u32 {
        let id = self.id();
        unsafe { fake::proxy_on_context_create(id, 0) };
        id
    }

    fn id(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Begins a request; answers its context and the filter's answer.
    pub fn begin(&mut self, request: &WireRequest) -> (u32, u32) {
        self.begin_below(ROOT, request)
    }

    /// As `begin`, below another root context.
    pub fn begin_below(&mut self, root: u32, request: &WireRequest) -> (u32, u32) {
        let mut headers = vec![
            (":method".to_owned(), request.method.clone().into_bytes()),
            (":scheme".to_owned(), request.scheme.clone().into_bytes()),
            (":authority".to_owned(), request.host.clone().into_bytes()),
            (":path".to_owned(), request.path.clone()),
        ];
        headers
            .extend(request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
        let count = headers.len();
        host(|host| {
            host.request_headers = headers;
            host.responses.clear();
            host.callouts.clear();
            host.filter_state.clear();
            host.resumed = 0;
            let all = everycall_core::http::ATTRIBUTES.iter().chain(everycall_core::http::PROOF_ATTRIBUTES);
            for attribute in all.chain([&everycall_core::http::CONNECTION_SOURCE]) {
                let path = attribute.host.join(".");
                match request.attribute(attribute.name) {
                    Some(bytes) => host.properties.insert(path, bytes),
                    None => host.properties.remove(&path),
                };
            }
        });
        let id = self.id();
        unsafe {
            fake::proxy_on_context_create(id, root);
            let action = fake::proxy_on_request_headers(id, count, true);
            (id, action)
        }
    }

    /// Delivers a reply to a callout.
    pub fn reply(&self, callout: &Callout, reply: &Reply) {
        let (headers, body, trailers) = match reply {
            Reply::Http { status, headers, body, trailers } => {
                let mut pairs = vec![(":status".to_owned(), status.to_string().into_bytes())];
                pairs.extend(headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())));
                let trailers =
                    trailers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
                (pairs, body.clone(), trailers)
            }
            Reply::Failed(everycall_core::http::Failure::TooLarge) => (
                vec![(":status".to_owned(), b"200".to_vec())],
                vec![b' '; everycall_core::pdp::MAX_ANSWER + 1],
                Vec::new(),
            ),
            Reply::Failed(everycall_core::http::Failure::Unavailable) => (Vec::new(), Vec::new(), Vec::new()),
        };
        self.deliver(callout, headers, body, trailers);
    }

    /// As `reply`, by a host that sets no other context meanwhile.
    pub fn reply_without_context(&self, callout: &Callout, reply: &Reply) {
        let Reply::Http { status, body, .. } = reply else { panic!("{reply:?}") };
        let headers = vec![(":status".to_owned(), status.to_string().into_bytes())];
        host(|host| host.faults_after_context = true);
        self.reply_raw(callout, headers, body.clone());
        host(|host| host.faults_after_context = false);
    }

    /// Delivers a reply as it is given; without headers it is one that broke off.
    pub fn reply_raw(&self, callout: &Callout, headers: Vec<(String, Vec<u8>)>, body: Vec<u8>) {
        self.deliver(callout, headers, body, Vec::new());
    }

    fn deliver(&self, callout: &Callout, headers: Pairs, body: Vec<u8>, trailers: Pairs) {
        let (count, size, after) = (headers.len(), body.len(), trailers.len());
        host(|host| (host.call_headers, host.call_body, host.call_trailers) = (headers, body, trailers));
        unsafe { fake::proxy_on_http_call_response(ROOT, callout.token, count, size, after) };
    }

    /// The response's headers come; answers the filter's answer and what is left of them.
    pub fn respond(&self, context: u32, headers: &[(&str, &str)]) -> (u32, Vec<(String, Vec<u8>)>) {
        let pairs = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        host(|host| host.response_headers = Some(pairs.collect()));
        let action = unsafe { fake::proxy_on_response_headers(context, headers.len(), false) };
        (action, host(|host| host.response_headers.take()).unwrap())
    }

    /// A tick of the root context.
    pub fn tick(&self) {
        self.tick_of(ROOT);
    }

    /// A tick of this root context.
    pub fn tick_of(&self, root: u32) {
        host(|host| host.effective = root);
        unsafe { fake::proxy_on_tick(root) };
        assert_eq!(host(|host| host.effective), root, "the callback ends in its own context");
    }

    /// Ends a request without a tick.
    pub fn drop_stream(&self, context: u32) {
        unsafe {
            fake::proxy_on_log(context);
            fake::proxy_on_done(context);
            fake::proxy_on_delete(context);
        }
    }

    /// Ends a request as Envoy does, and collects what came of it.
    pub fn end(&self, context: u32, action: u32) -> Outcome {
        let passed =
            host(|host| action == CONTINUE || host.resumed > 0) && host(|host| host.responses.is_empty());
        self.drop_stream(context);
        unsafe { fake::proxy_on_tick(ROOT) };
        host(|host| {
            assert!(host.resumed <= 1, "resumed more than once");
            let lines: Vec<_> = host.log.drain(..).map(|(_, line)| line).collect();
            let records: Vec<DecisionRecord> = lines
                .iter()
                .filter(|line| line.starts_with('{'))
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let summary =
                host.filter_state.get("everycall.decision").map(|text| serde_json::from_str(text).unwrap());
            Outcome {
                passed,
                response: host.responses.pop(),
                record: records.into_iter().next_back(),
                summary,
            }
        })
    }

    /// A whole request; `answer` is asked for the reply to each callout.
    pub fn request(&mut self, request: &WireRequest, answer: impl Fn(&Callout) -> Reply) -> Outcome {
        let (context, action) = self.begin(request);
        loop {
            let callouts = host(|host| std::mem::take(&mut host.callouts));
            if callouts.is_empty() {
                return self.end(context, action);
            }
            assert_eq!(action, PAUSE, "a request that waits is held");
            // Body and trailers must not carry a held request past the gate.
            unsafe {
                assert_eq!(fake::proxy_on_request_body(context, 5, true), PAUSE);
                assert_eq!(fake::proxy_on_request_trailers(context, 1), PAUSE);
            }
            for callout in callouts {
                let reply = answer(&callout);
                self.reply(&callout, &reply);
            }
        }
    }
}
