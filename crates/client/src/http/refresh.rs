//! The access token, and its renewal by one caller for all.

use std::sync::{Arc, PoisonError};

use parlor_protocol::code::Code;
use parlor_protocol::http::{RefreshRequest, TokenResponse};
use reqwest::Method;

use super::{Call, Http};
use crate::error::ClientError;
use crate::tokens::Tokens;

impl Http {
    /// Returns the present access token, from memory or from the store.
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`] when there is none.
    pub async fn access_token(&self) -> Result<String, ClientError> {
        let known = self.known_tokens();
        let tokens = match known {
            Some(tokens) => Some(tokens),
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
        if let Some(tokens) = self.known_tokens().filter(renewed) {
            return Ok(tokens.access_token);
        }
        let store = Arc::clone(&self.shared.store);
        let _lock = blocking(move || store.lock()).await?;
        let tokens = self.load().await?.ok_or(ClientError::NotLoggedIn)?;
        if renewed(&tokens) {
            return Ok(tokens.access_token);
        }
        let call = Call::v1(Method::POST, &["auth", "refresh"])
            .body(&RefreshRequest { refresh_token: tokens.refresh_token })?;
        let answer = match self.send_once(&call, None).await {
            Ok(response) => self.decode::<TokenResponse>(response).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(response) => {
                self.keep(Some(Tokens::from(&response))).await?;
                Ok(response.access_token)
            }
            Err(error) if error.code() == Some(Code::Unauthenticated) => {
                self.keep(None).await?;
                Err(ClientError::NotLoggedIn)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a login, or forgets it.
    pub(super) async fn keep(&self, tokens: Option<Tokens>) -> Result<(), ClientError> {
        let store = Arc::clone(&self.shared.store);
        self.remember(tokens.clone());
        blocking(move || store.save(tokens.as_ref())).await
    }

    async fn load(&self) -> Result<Option<Tokens>, ClientError> {
        let store = Arc::clone(&self.shared.store);
        let tokens = blocking(move || store.load()).await?;
        self.remember(tokens.clone());
        Ok(tokens)
    }

    fn known_tokens(&self) -> Option<Tokens> {
        self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, tokens: Option<Tokens>) {
        *self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner) = tokens;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ClientError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(std::io::Error::other).flatten().map_err(ClientError::TokenStore)
}
