//! Carries each call to its channel and its answer back.

use std::{collections::HashMap, sync::Arc, sync::mpsc::SyncSender, time::Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::engine_thread::Input;
use crate::{
    channels::Client,
    domain::{Answer, CallError, ChannelId, Meter},
    engine::{Command, Event},
    kill_points::{Point, pass},
};

/// Runs every command as a task of its own, until the engine has gone. The engine limits how many there are.
pub(super) async fn carry(
    clients: Vec<(ChannelId, Client)>,
    mut commands: UnboundedReceiver<Command>,
    input: SyncSender<Input>,
) {
    let clients: HashMap<ChannelId, Arc<Client>> =
        clients.into_iter().map(|(id, client)| (id, Arc::new(client))).collect();
    while let Some(command) = commands.recv().await {
        let client = clients.get(&command.channel).cloned();
        let input = input.clone();
        tokio::spawn(async move {
            let sent = Instant::now();
            let call = command.call;
            let answered = match client {
                Some(client) => tokio::spawn(async move { client.call(&call).await }).await,
                None => Ok(lost("there is no client for this channel")),
            };
            let answer = answered.unwrap_or_else(|error| lost(&format!("the call broke off: {error}")));
            pass(Point::Answer);
            let event = Event::Answered { call: command.id, took: sent.elapsed(), answer };
            // The engine takes events in faster than channels answer; a full queue only delays this one task.
            let _ = tokio::task::spawn_blocking(move || input.send(Input::Event(event)).is_ok()).await;
        });
    }
}

fn lost(detail: &str) -> Answer {
    Answer { result: Err(CallError::Unknown { detail: detail.to_owned() }), meter: Meter::default() }
}
