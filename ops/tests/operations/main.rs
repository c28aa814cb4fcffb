//! Every operation against a naive loop and against PyTorch, and every gradient against central differences in float64.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod affine;
mod attention;
mod convolution;
mod gelu;
mod golden;
mod layout;
mod linear;
mod normalization;
mod pooling;
mod rectifiers;
mod support;
mod threads;
mod upsample;
mod weight;
