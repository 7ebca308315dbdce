//! Stands in for AWS identities in a build without them.

use recording_host_http::RequestSigner;

/// An AWS identity, of which there is none.
#[derive(Clone, Debug)]
pub enum AwsAuth {}

pub(super) async fn signer(
    _auth: Option<&AwsAuth>,
    _region: Option<&str>,
) -> Result<Box<dyn RequestSigner>, String> {
    Err(": this source needs AWS credentials; build it with the feature `s3`".to_owned())
}
