//! A RST in the backend's name that the backend did not send.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::exchange::{ANSWER, ask, asked, server_error};
use crate::forgery::{self, Ears};
use crate::scene::Scene;

/// TTL of a host some hops away, where that of the loopback is 64.
const TTL: u8 = 41;

/// How long the backend works on.
const THOUGHT: Duration = Duration::from_millis(200);

/// It comes while the backend works on the request; the backend then answers a gateway that is gone.
pub(crate) fn before_answer(scene: &Scene<'_>) -> Result<()> {
    let ears = Ears::new(scene.netns)?;
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    let heard = ears.hear(|segment| segment.to == scene.route.back)?;
    forgery::reset(scene.netns, &heard, TTL)?;
    server_error(&client)?;
    sleep(THOUGHT);
    backend.write(ANSWER)
}
