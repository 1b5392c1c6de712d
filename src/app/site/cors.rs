//! Which answers scripts of other origins may read, where origins are listed.

use super::App;
use crate::app::bearer;
use crate::app::config::Origin;
use crate::app::json_responses::readable_by;
use crate::web::{Request, Response};

impl App {
    pub(super) fn preflight(&self, request: &Request<'_>, allow: &str) -> Response {
        self.responses.preflight(allow, self.reader(request))
    }

    /// The listed origin whose page asks.
    pub(super) fn reader(&self, request: &Request<'_>) -> Option<&Origin> {
        let cors = &self.config.cors_allow_origin;
        cors.is_list()
            .then(|| bearer::reader(request, cors))
            .flatten()
    }

    /// Lets scripts of the listed origin that asks read the answer.
    pub(super) fn readable(&self, request: &Request<'_>, response: Response) -> Response {
        match self.reader(request) {
            Some(reader) => readable_by(reader.as_str(), response),
            None => response,
        }
    }
}
