//! The window under virtual time.

mod annotate;
mod deciding;
mod exemplars;
mod inference;
mod kit;
mod laws;
mod memory;
mod oracle;
mod pressure;
mod replay;
mod reread;
mod restart;
mod taint;
