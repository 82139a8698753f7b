//! A client and a holder of a lease under the laws of every machine.

use crate::driver::{Choices, Lawful};
use quorate::client::{self, Client, Kind, Reply};
use quorate::id::{ClientId, Index};
use quorate::lease::{Holder, Token, holder};
use quorate::time::Span;

impl Lawful for Client<u8, u8> {
    type Given = client::Input<'static, u8, u8>;

    fn begin(choices: &mut Choices<'_>) -> Self {
        Self::new(client::Config {
            client: ClientId::new(7),
            nodes: 1 + choices.below(5) as u8,
            seed: choices.below(256),
            attempt: Span::millis(1 + choices.below(200)),
            give_up: Span::millis(200 + choices.below(256)),
            backoff: Span::millis(1 + choices.below(20)),
        })
        .expect("it is a sound configuration")
    }

    fn tick() -> Self::Given {
        client::Input::Tick
    }

    fn invent(
        &self,
        told: &[client::Output<u8>],
        choices: &mut Choices<'_>,
    ) -> client::Input<'static, u8, u8> {
        let sent = told.iter().rev().find_map(|output| match output {
            client::Output::Send { node, attempt, .. } => Some((*node, *attempt)),
            client::Output::Done(_) => None,
        });
        let (node, attempt) = sent.unwrap_or((0, 1));
        let (node, attempt) = (choices.near(node.into()) as u8, choices.near(attempt));
        match choices.below(16) {
            0 => client::Input::Nodes { count: choices.near(5) as u8 },
            1 => client::Input::Unreachable { node },
            2..6 => client::Input::Ask {
                work: &5,
                kind: if choices.below(2) == 0 { Kind::Command } else { Kind::Query },
            },
            _ => client::Input::Reply { node, attempt, reply: reply(choices) },
        }
    }

    fn lend(given: &Self::Given) -> client::Input<'_, u8, u8> {
        given.clone()
    }
}

fn reply(choices: &mut Choices<'_>) -> Reply<u8> {
    match choices.below(12) {
        0..3 => Reply::Opened,
        3..6 => Reply::Done(5),
        6 => Reply::Superseded,
        7 => Reply::NoSession,
        8 => Reply::NotLeader {
            leader: choices.one_of(&[None, Some(0), Some(1), Some(9)]).flatten(),
        },
        9 => Reply::Busy,
        10 => Reply::Rejected,
        _ => Reply::Unknown,
    }
}

impl Lawful for Holder {
    type Given = holder::Input;

    fn begin(choices: &mut Choices<'_>) -> Self {
        let margin = Span::millis(choices.near(10).min(1_000));
        Self::new(holder::Config { margin, drift_parts: choices.near(1_000) })
    }

    fn tick() -> holder::Input {
        holder::Input::Tick
    }

    fn invent(&self, told: &[holder::Output], choices: &mut Choices<'_>) -> holder::Input {
        let requests: Vec<_> = told
            .iter()
            .filter_map(|output| match output {
                holder::Output::AcquireNow { request }
                | holder::Output::RenewNow { request, .. } => Some(*request),
                _ => None,
            })
            .collect();
        let token = Token::new(Index::new(choices.near(2)));
        match (choices.below(8), choices.one_of(&requests)) {
            (0, _) | (_, None) => holder::Input::Acquire,
            (1, _) => holder::Input::Release,
            (2, _) => holder::Input::NotHeld { token },
            (_, Some(request)) => {
                let duration = Span::millis(choices.near(500));
                holder::Input::Granted { request, token, duration }
            }
        }
    }

    fn lend(given: &holder::Input) -> holder::Input {
        *given
    }
}
