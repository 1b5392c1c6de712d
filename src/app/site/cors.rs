//! Which answers scripts of other origins may read, where origins are listed.

use super::Site;
use crate::app::answers::readable_by;
use crate::app::bearer;
use crate::app::config::Origin;
use crate::web::{Request, Response};

impl Site {
    pub(super) fn preflight(&self, request: &Request<'_>, allow: &str) -> Response {
        self.answers.preflight(allow, self.reader(request))
    }

    /// The listed origin whose page asks.
    pub(super) fn reader(&self, request: &Request<'_>) -> Option<&Origin> {
        let cors = &self.config.cors_allow_origin;
        cors.is_list()
            .then(|| bearer::reader(request, cors))
            .flatten()
    }

    /// Lets scripts of the listed origin that asks read the answer.
    pub(super) fn readable(&self, request: &Request<'_>, answer: Response) -> Response {
        match self.reader(request) {
            Some(reader) => readable_by(reader.as_str(), answer),
            None => answer,
        }
    }
}
