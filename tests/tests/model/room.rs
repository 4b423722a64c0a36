//! The model of one room: plain collections and the rules as a person would say them.

use std::collections::{BTreeMap, BTreeSet};

use crate::deed::{Deed, Nth, Person, Role, Verdict, name};

/// Who may find and enter a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Public,
    Private,
    Direct,
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) muted: bool,
    pub(crate) read_seq: u64,
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) sender: Person,
    pub(crate) body: String,
    pub(crate) edits: u64,
    pub(crate) is_redacted: bool,
    pub(crate) root: Option<Nth>,
    pub(crate) reactions: BTreeMap<&'static str, BTreeSet<Person>>,
    pub(crate) mentions: BTreeSet<Person>,
    pub(crate) mentions_room: bool,
    pub(crate) is_pinned: bool,
}

/// One room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) slug: String,
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) members: BTreeMap<Person, Member>,
    pub(crate) messages: Vec<Message>,
    banned: BTreeSet<Person>,
    topic: String,
    is_archived: bool,
}

impl Room {
    /// Returns a room that its first members have just been put in, the owner first.
    pub(crate) fn new(slug: String, kind: Kind, people: &[Person]) -> Self {
        let mut room = Self {
            slug,
            kind,
            seq: 1,
            members: BTreeMap::new(),
            messages: Vec::new(),
            banned: BTreeSet::new(),
            topic: String::new(),
            is_archived: false,
        };
        for (number, &person) in people.iter().enumerate() {
            room.add(person, if number == 0 { Role::Owner } else { Role::Member });
        }
        // The first members have seen nothing, and there is nothing to see but their coming.
        room
    }

    /// Returns how many messages a member has not read, and how many of those mention them.
    pub(crate) fn unread(&self, person: Person) -> (u64, u64) {
        let Some(member) = self.members.get(&person) else { return (0, 0) };
        let mut counts = (0, 0);
        for message in &self.messages {
            let is_new = message.seq > member.read_seq && message.sender != person;
            if is_new && !message.is_redacted {
                counts.0 += 1;
                if message.mentions_room || message.mentions.contains(&person) {
                    counts.1 += 1;
                }
            }
        }
        counts
    }

    /// Returns the messages of a thread but its root, that are not redacted.
    pub(crate) fn replies(&self, root: Nth) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(move |message| message.root == Some(root) && !message.is_redacted)
    }

    /// Carries a deed out, or refuses it. A published message has no id yet.
    pub(crate) fn apply(&mut self, person: Person, deed: &Deed) -> Verdict {
        if let Deed::Join = deed {
            return self.join(person);
        }
        let Some(member) = self.members.get(&person).cloned() else {
            return if self.kind == Kind::Public { Verdict::Refused } else { Verdict::Hidden };
        };
        let may_write = !member.muted && !self.is_archived;
        match deed {
            Deed::Publish { body, reply_to, thread } if may_write => {
                self.publish(person, &member, body, (*reply_to, *thread))
            }
            Deed::Edit(nth, body) if may_write => self.edit(person, &member, *nth, body),
            Deed::React(nth, emoji) if may_write => self.react(person, *nth, emoji, true),
            Deed::Unreact(nth, emoji) if may_write => self.react(person, *nth, emoji, false),
            Deed::Redact(nth) => self.redact(person, &member, *nth),
            Deed::Pin(nth) if !self.is_archived => self.pin(&member, *nth, true),
            Deed::Unpin(nth) if !self.is_archived => self.pin(&member, *nth, false),
            Deed::Read(seq) => {
                let seq = (*seq).min(self.seq);
                self.members.entry(person).and_modify(|member| member.read_seq = seq);
                Verdict::Done
            }
            Deed::Retopic(topic) if member.role >= Role::Moderator => {
                self.seq += u64::from(self.topic != *topic);
                self.topic.clone_from(topic);
                Verdict::Done
            }
            Deed::Archive(archived) if member.role == Role::Owner => {
                self.seq += u64::from(self.is_archived != *archived);
                self.is_archived = *archived;
                Verdict::Done
            }
            Deed::Reset if member.role == Role::Owner => {
                self.messages.clear();
                self.seq += 1;
                Verdict::Done
            }
            Deed::Leave => self.leave(person, &member),
            Deed::Invite(_)
            | Deed::Kick(_)
            | Deed::Ban(_)
            | Deed::LiftBan(_)
            | Deed::Mute(_)
            | Deed::LiftMute(_)
            | Deed::SetRole(..)
                if self.kind != Kind::Direct =>
            {
                self.change_members(&member, deed)
            }
            _ => Verdict::Refused,
        }
    }

    fn add(&mut self, person: Person, role: Role) {
        self.seq += 1;
        let read_seq = self.seq;
        self.members.insert(person, Member { role, muted: false, read_seq });
    }

    fn join(&mut self, person: Person) -> Verdict {
        if self.members.contains_key(&person) {
            return Verdict::Done;
        }
        match self.kind {
            Kind::Private | Kind::Direct => Verdict::Hidden,
            Kind::Public if self.banned.contains(&person) => Verdict::Refused,
            Kind::Public => {
                self.add(person, Role::Member);
                Verdict::Done
            }
        }
    }

    fn leave(&mut self, person: Person, member: &Member) -> Verdict {
        let others_own = self
            .members
            .iter()
            .any(|(&other, member)| other != person && member.role == Role::Owner);
        let is_last_owner = member.role == Role::Owner && !others_own && self.members.len() > 1;
        if self.kind == Kind::Direct || is_last_owner {
            return Verdict::Refused;
        }
        self.remove(person);
        Verdict::Done
    }

    fn remove(&mut self, person: Person) {
        self.members.remove(&person);
        self.seq += 1;
    }

    fn change_members(&mut self, actor: &Member, deed: &Deed) -> Verdict {
        let least = match (deed, self.kind) {
            (Deed::Invite(_), Kind::Public) => Role::Member,
            (Deed::SetRole(..), _) => Role::Owner,
            _ => Role::Moderator,
        };
        if actor.role < least {
            return Verdict::Refused;
        }
        match *deed {
            Deed::Invite(person) if self.members.contains_key(&person) => {}
            Deed::Invite(person) if self.banned.contains(&person) => return Verdict::Refused,
            Deed::Invite(person) => self.add(person, Role::Member),
            Deed::LiftBan(person) => {
                self.banned.remove(&person);
            }
            Deed::Ban(person) => {
                if self.outranks(actor, person) == Some(false) {
                    return Verdict::Refused;
                }
                self.banned.insert(person);
                if self.members.contains_key(&person) {
                    self.remove(person);
                }
            }
            Deed::Kick(person) if self.outranks(actor, person) == Some(true) => self.remove(person),
            Deed::Mute(person) | Deed::LiftMute(person)
                if self.outranks(actor, person) == Some(true) =>
            {
                let muted = matches!(deed, Deed::Mute(_));
                if let Some(member) = self.members.get_mut(&person) {
                    self.seq += u64::from(member.muted != muted);
                    member.muted = muted;
                }
            }
            Deed::SetRole(person, role) => match self.members.get_mut(&person) {
                Some(member) => {
                    self.seq += u64::from(member.role != role);
                    member.role = role;
                }
                None => return Verdict::Refused,
            },
            _ => return Verdict::Refused,
        }
        Verdict::Done
    }

    /// Tells whether an actor may act against a member; `None` for someone who is not one.
    fn outranks(&self, actor: &Member, person: Person) -> Option<bool> {
        let member = self.members.get(&person)?;
        Some(actor.role == Role::Owner || member.role < actor.role)
    }

    fn publish(
        &mut self,
        person: Person,
        member: &Member,
        body: &str,
        (reply_to, thread): (Option<Nth>, Option<Nth>),
    ) -> Verdict {
        // A thread has one level: who answers in it stays in it, said or not.
        let root = match (thread, reply_to) {
            (Some(nth), _) => Some(self.messages[nth].root.unwrap_or(nth)),
            (None, Some(nth)) => self.messages[nth].root,
            (None, None) => None,
        };
        self.seq += 1;
        let (mentions, mentions_room) = self.mentioned(member, body);
        self.messages.push(Message {
            id: String::new(),
            seq: self.seq,
            sender: person,
            body: body.to_owned(),
            edits: 0,
            is_redacted: false,
            root,
            reactions: BTreeMap::new(),
            mentions,
            mentions_room,
            is_pinned: false,
        });
        Verdict::Done
    }

    /// Returns whom a text mentions now. Only those who keep order mention everyone.
    fn mentioned(&self, author: &Member, body: &str) -> (BTreeSet<Person>, bool) {
        let is_there = |word: String| body.split(' ').any(|part| part == word);
        let people = self
            .members
            .keys()
            .copied()
            .filter(|&person| is_there(format!("@{}", name(person))))
            .collect();
        (people, author.role >= Role::Moderator && is_there("@room".to_owned()))
    }

    fn edit(&mut self, person: Person, member: &Member, nth: Nth, body: &str) -> Verdict {
        let (mentions, mentions_room) = self.mentioned(member, body);
        let message = &mut self.messages[nth];
        if message.sender != person || message.is_redacted {
            return Verdict::Refused;
        }
        if message.body != body {
            body.clone_into(&mut message.body);
            message.edits += 1;
            (message.mentions, message.mentions_room) = (mentions, mentions_room);
            self.seq += 1;
        }
        Verdict::Done
    }

    fn redact(&mut self, person: Person, member: &Member, nth: Nth) -> Verdict {
        let message = &mut self.messages[nth];
        if message.sender != person && member.role < Role::Moderator {
            return Verdict::Refused;
        }
        if !message.is_redacted {
            message.is_redacted = true;
            message.is_pinned = false;
            message.body.clear();
            self.seq += 1;
        }
        Verdict::Done
    }

    fn react(&mut self, person: Person, nth: Nth, emoji: &'static str, add: bool) -> Verdict {
        let message = &mut self.messages[nth];
        if message.is_redacted {
            return Verdict::Refused;
        }
        let people = message.reactions.entry(emoji).or_default();
        let changed = if add { people.insert(person) } else { people.remove(&person) };
        self.seq += u64::from(changed);
        Verdict::Done
    }

    fn pin(&mut self, member: &Member, nth: Nth, pin: bool) -> Verdict {
        let message = &mut self.messages[nth];
        let may = self.kind == Kind::Direct || member.role >= Role::Moderator;
        // What is redacted cannot be pinned, and is not pinned any more.
        if !may || (pin && message.is_redacted) {
            return Verdict::Refused;
        }
        if message.is_pinned != pin {
            message.is_pinned = pin;
            self.seq += 1;
        }
        Verdict::Done
    }
}
