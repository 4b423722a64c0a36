//! The access token, and its renewal by one caller for all.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use parlor_protocol::code::Code;
use parlor_protocol::http::{RefreshRequest, TokenResponse};
use reqwest::Method;
use tokio::time::Instant;

use super::{Call, Http, Known};
use crate::error::ClientError;
use crate::tokens::Tokens;

/// The part of its life after which a token is renewed on an open connection.
const RENEW_AFTER: f32 = 0.8;
/// Seconds; a token that claims a longer life is renewed after that of this one.
const LIFE_MAX: u64 = 30 * 86_400;

impl Http {
    /// Returns the present access token, from memory or from the store.
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`] when there is none.
    pub async fn access_token(&self) -> Result<String, ClientError> {
        let tokens = match self.known() {
            Some(known) => Some(known.tokens),
            None => self.load().await?,
        };
        tokens.map(|tokens| tokens.access_token).ok_or(ClientError::NotLoggedIn)
    }

    /// Returns an access token other than `stale`, and renews the login when there is none yet.
    ///
    /// However many callers hold the same stale token, it is renewed once. The renewal goes on when
    /// the caller is dropped, because a spent refresh token must not be lost.
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`] when the login has ended.
    pub async fn renew(&self, stale: &str) -> Result<String, ClientError> {
        let http = self.clone();
        let stale = stale.to_owned();
        let renewal = self.shared.tasks.spawn(async move { http.renew_now(&stale).await });
        renewal.await.map_err(|error| ClientError::Unreachable(error.into()))?
    }

    async fn renew_now(&self, stale: &str) -> Result<String, ClientError> {
        let _turn = self.shared.renewing.lock().await;
        let renewed = |tokens: &Tokens| tokens.access_token != stale;
        if let Some(known) = self.known().filter(|known| renewed(&known.tokens)) {
            return Ok(known.tokens.access_token);
        }
        let store = Arc::clone(&self.shared.store);
        let _lock = blocking(move || store.lock()).await?;
        let tokens = self.load().await?.ok_or(ClientError::NotLoggedIn)?;
        if renewed(&tokens) {
            return Ok(tokens.access_token);
        }
        // A personal access token has no successor.
        if tokens.refresh_token.is_empty() {
            return Err(ClientError::NotLoggedIn);
        }
        let call = Call::v1(Method::POST, &["auth", "refresh"])
            .body(&RefreshRequest { refresh_token: tokens.refresh_token })?;
        let answer = match self.send_once(&call, None).await {
            Ok(response) => self.decode::<TokenResponse>(response).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(response) => {
                self.obtained(&response).await?;
                Ok(response.access_token)
            }
            Err(error) if error.code() == Some(Code::Unauthenticated) => {
                self.forget().await?;
                Err(ClientError::NotLoggedIn)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns when an access token should be renewed, if this process knows.
    pub(crate) fn renew_at(&self, token: &str) -> Option<Instant> {
        self.known().filter(|known| known.tokens.access_token == token)?.renew_at
    }

    /// Stores a new login.
    pub(super) async fn obtained(&self, response: &TokenResponse) -> Result<(), ClientError> {
        let tokens = Tokens::from(response);
        let good_for = Duration::from_secs(response.expires_in.min(LIFE_MAX));
        let renew_at = Some(Instant::now() + good_for.mul_f32(RENEW_AFTER));
        self.remember(Some(Known { tokens: tokens.clone(), renew_at }));
        let store = Arc::clone(&self.shared.store);
        blocking(move || store.save(Some(&tokens))).await
    }

    /// Forgets the login.
    pub(super) async fn forget(&self) -> Result<(), ClientError> {
        self.remember(None);
        let store = Arc::clone(&self.shared.store);
        blocking(move || store.save(None)).await
    }

    async fn load(&self) -> Result<Option<Tokens>, ClientError> {
        let store = Arc::clone(&self.shared.store);
        let tokens = blocking(move || store.load()).await?;
        self.remember(tokens.clone().map(|tokens| Known { tokens, renew_at: None }));
        Ok(tokens)
    }

    fn known(&self) -> Option<Known> {
        self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, known: Option<Known>) {
        *self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ClientError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(std::io::Error::other).flatten().map_err(ClientError::TokenStore)
}
