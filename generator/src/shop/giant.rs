//! One trace with very many spans: a nightly job.

use super::topology::GIANT;
use super::walk::{Ending, Made, Walk, begin};
use super::world::World;
use crate::encode::{Kind, Scope};
use crate::settings::{MILLISECOND, Nanos};

/// `spans` spans in one service, a fifth of a millisecond apart.
pub(super) fn job(world: &mut World, at: Nanos, spans: u32) -> Vec<Made> {
    let instance = world.any(GIANT);
    let context = begin(world, instance, at);
    let mut walk = Walk { world, context, made: Vec::new() };
    let root = walk.open(instance, None, at);
    let mut now = at;
    for number in 1..spans {
        let running = walk.open(instance, Some(root.id), now);
        let end = now + MILLISECOND / 2;
        let attributes = vec![
            ("db.system.name", "postgresql".into()),
            ("db.operation.name", "SELECT".into()),
            ("shop.sku", i64::from(number).into()),
        ];
        let name = "SELECT stock".to_owned();
        walk.close(
            running,
            Ending { scope: Scope::Database, kind: Kind::Client, name, attributes, failure: None, end },
        );
        now += MILLISECOND / 5;
    }
    let end = now + MILLISECOND;
    let name = "count stock".to_owned();
    walk.close(
        root,
        Ending { scope: Scope::App, kind: Kind::Internal, name, attributes: Vec::new(), failure: None, end },
    );
    walk.made
}
