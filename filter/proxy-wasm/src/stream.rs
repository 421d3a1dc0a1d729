//! The host's callbacks for one stream. What they come to is in `check`.

use std::cell::RefCell;
use std::rc::Rc;

use everycall_core::StreamId;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::check::Check;
use crate::host::{self, ReplySize};
use crate::registry::Instance;

/// A stream, and its request: the root context finds the request of one that it has to wake.
pub(crate) struct Stream {
    id: StreamId,
    instance: Option<Rc<Instance>>,
    // INVARIANT: the host calls back into no context while it serves a call, so no two borrows meet.
    check: Rc<RefCell<Check>>,
}

impl Stream {
    pub(crate) fn new(id: u32, instance: Option<Rc<Instance>>) -> Self {
        let id = StreamId(id.into());
        Self { id, instance: instance.clone(), check: Rc::new(RefCell::new(Check::new(id, instance))) }
    }

    fn park(&self) {
        if let Some(instance) = &self.instance {
            instance.park(self.id, &self.check);
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        let action = self.check.borrow_mut().begin();
        self.park();
        action
    }

    // With `allow_on_headers_stop_iteration` these run while the headers are held: Continue would
    // send the request on.
    fn on_http_request_body(&mut self, _body_size: usize, _end_of_stream: bool) -> Action {
        self.check.borrow().gate()
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        self.check.borrow().trailers()
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        self.check.borrow_mut().respond()
    }

    fn on_log(&mut self) {
        self.check.borrow_mut().log();
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        let size = ReplySize { headers, body, trailers };
        let action = self.check.borrow_mut().replied(token, size);
        self.park();
        if action == Action::Continue {
            host::resume_request();
        }
    }

    fn on_done(&mut self) -> bool {
        if let Some(instance) = &self.instance {
            instance.parked.borrow_mut().remove(&self.id);
        }
        self.check.borrow_mut().end();
        true
    }
}
