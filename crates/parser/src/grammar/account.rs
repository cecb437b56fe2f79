//! Users, roles and privileges.

use crate::ast::{
    AccountOptions, AlterUser, AuthOption, CreateRole, CreateUser, Credential, Grant, GrantLevel, GrantRole,
    ObjectKind, ObjectName, PasswordExpire, Privilege, Revoke, RevokeRole, RoleSelection, Statement,
    UserName, UserRef, UserSpec,
};
use crate::cursor::{Cursor, Result};
use crate::lexer::Kind;

/// Privileges of more than one word; all others are one word (dynamic ones too).
const LONG_PRIVILEGES: &[&[&str]] = &[
    &["ALL", "PRIVILEGES"],
    &["ALTER", "ROUTINE"],
    &["CREATE", "ROUTINE"],
    &["CREATE", "TEMPORARY", "TABLES"],
    &["CREATE", "TABLESPACE"],
    &["CREATE", "USER"],
    &["CREATE", "VIEW"],
    &["CREATE", "ROLE"],
    &["DROP", "ROLE"],
    &["GRANT", "OPTION"],
    &["LOCK", "TABLES"],
    &["REPLICATION", "CLIENT"],
    &["REPLICATION", "SLAVE"],
    &["SHOW", "DATABASES"],
    &["SHOW", "VIEW"],
];

/// Words that can only start a privilege, never a role.
const PRIVILEGE_WORDS: &[&str] = &[
    "ALL",
    "ALTER",
    "CREATE",
    "DELETE",
    "DROP",
    "EXECUTE",
    "FILE",
    "GRANT",
    "INDEX",
    "INSERT",
    "LOCK",
    "PROCESS",
    "PROXY",
    "REFERENCES",
    "RELOAD",
    "REPLICATION",
    "SELECT",
    "SHOW",
    "SHUTDOWN",
    "SUPER",
    "TRIGGER",
    "UPDATE",
    "USAGE",
    "EVENT",
    "CONFIG",
];

/// What WITH may limit.
const RESOURCES: &[&str] =
    &["MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"];

impl Cursor<'_> {
    /// `'user'@'host'`, `user@host`, `user`.
    pub fn user_name(&mut self) -> Result<UserName> {
        let user = match self.kind() {
            Kind::String => self.string()?,
            _ => self.ident()?.0,
        };
        let host = match self.kind() {
            Kind::UserVariable => self.user_variable()?,
            Kind::At => {
                // `user@ 'host'`, `user@%`.
                self.advance();
                if self.eat(Kind::Percent) { "%".to_owned() } else { self.ident_or_text()? }
            }
            _ => "%".to_owned(),
        };
        Ok(UserName { user, host: host.to_lowercase() })
    }

    /// A user's name, or CURRENT_USER.
    pub fn user_ref(&mut self) -> Result<UserRef> {
        if self.eat_word("CURRENT_USER") {
            self.empty_parentheses()?;
            return Ok(UserRef::Current);
        }
        if self.is_word("USER") && self.kind_at(1) == Kind::LeftParen {
            self.advance();
            self.empty_parentheses()?;
            return Ok(UserRef::Current);
        }
        self.user_name().map(UserRef::Named)
    }

    fn empty_parentheses(&mut self) -> Result<()> {
        if self.eat(Kind::LeftParen) { self.expect(Kind::RightParen) } else { Ok(()) }
    }

    fn user_spec(&mut self) -> Result<UserSpec> {
        let user = self.user_ref()?;
        let auth = if self.eat_word("IDENTIFIED") { Some(self.auth_option()?) } else { None };
        Ok(UserSpec { user, auth })
    }

    fn auth_option(&mut self) -> Result<AuthOption> {
        let plugin =
            if self.eat_one_of(&["WITH", "VIA"]).is_some() { Some(self.ident_or_text()?) } else { None };
        let credential = if self.eat_words(&["BY", "RANDOM", "PASSWORD"]) {
            Credential::Random
        } else if self.eat_words(&["BY", "PASSWORD"]) {
            Credential::Hash(self.string_like()?)
        } else if self.eat_word("BY") {
            Credential::Password(self.string()?)
        } else if plugin.is_some() && self.eat_one_of(&["AS", "USING"]).is_some() {
            Credential::Hash(self.string_like()?)
        } else if plugin.is_some() {
            Credential::None
        } else {
            return self.fail();
        };
        let replace = if self.eat_word("REPLACE") { Some(self.string()?) } else { None };
        let retain_current = self.eat_words(&["RETAIN", "CURRENT", "PASSWORD"]);
        Ok(AuthOption { plugin, credential, replace, retain_current })
    }

    fn account_options(&mut self) -> Result<AccountOptions> {
        let mut options = AccountOptions::default();
        if self.eat_word("REQUIRE") {
            loop {
                let Some(kind) = self.eat_one_of(&[
                    "NONE",
                    "SSL",
                    "X509",
                    "CIPHER",
                    "ISSUER",
                    "SUBJECT",
                    "SAN",
                    "TOKEN_ISSUER",
                ]) else {
                    return self.fail();
                };
                let value = if matches!(kind, "NONE" | "SSL" | "X509") { None } else { Some(self.string()?) };
                options.require.push((kind.to_owned(), value));
                self.eat_word("AND");
                if !self.is_one_of(&["CIPHER", "ISSUER", "SUBJECT", "SAN", "TOKEN_ISSUER"]) {
                    break;
                }
            }
        }
        if self.is_word("WITH") && self.at(self.position + 1).is_one_of(RESOURCES) {
            self.advance();
            while let Some(resource) = self.eat_one_of(RESOURCES) {
                options.resources.push((resource.to_owned(), self.unsigned()?));
            }
        }
        loop {
            if self.eat_word("ACCOUNT") {
                match self.eat_one_of(&["LOCK", "UNLOCK"]) {
                    Some(word) => options.locked = Some(word == "LOCK"),
                    None => return self.fail(),
                }
            } else if self.eat_words(&["PASSWORD", "EXPIRE"]) {
                options.password_expire = Some(if self.eat_word("DEFAULT") {
                    PasswordExpire::Default
                } else if self.eat_word("NEVER") {
                    PasswordExpire::Never
                } else if self.eat_word("INTERVAL") {
                    let days = self.unsigned()?;
                    self.expect_word("DAY")?;
                    PasswordExpire::Days(days)
                } else {
                    PasswordExpire::Now
                });
            } else if self.eat_words(&["PASSWORD", "HISTORY"]) {
                let value = self.number_or_default()?;
                options.password_rules.push(("PASSWORD HISTORY".to_owned(), value));
            } else if self.eat_words(&["PASSWORD", "REUSE", "INTERVAL"]) {
                let value = self.number_or_default()?;
                self.eat_word("DAY");
                options.password_rules.push(("PASSWORD REUSE INTERVAL".to_owned(), value));
            } else if self.eat_words(&["PASSWORD", "REQUIRE", "CURRENT"]) {
                let value = self.eat_one_of(&["DEFAULT", "OPTIONAL"]).unwrap_or("").to_owned();
                options.password_rules.push(("PASSWORD REQUIRE CURRENT".to_owned(), value));
            } else if let Some(rule) = self.eat_one_of(&["FAILED_LOGIN_ATTEMPTS", "PASSWORD_LOCK_TIME"]) {
                let value = if self.eat_word("UNBOUNDED") {
                    "UNBOUNDED".to_owned()
                } else {
                    self.unsigned()?.to_string()
                };
                options.password_rules.push((rule.to_owned(), value));
            } else if self.eat_word("COMMENT") {
                options.comment = Some(self.string()?);
            } else if self.eat_word("ATTRIBUTE") {
                options.attribute = Some(self.string()?);
            } else {
                return Ok(options);
            }
        }
    }

    fn number_or_default(&mut self) -> Result<String> {
        if self.eat_word("DEFAULT") { Ok("DEFAULT".to_owned()) } else { Ok(self.unsigned()?.to_string()) }
    }

    /// Behind CREATE USER.
    pub fn create_user(&mut self) -> Result<Statement> {
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let users = self.comma_separated(Self::user_spec)?;
        let default_roles = if self.eat_words(&["DEFAULT", "ROLE"]) {
            self.comma_separated(Self::user_name)?
        } else {
            Vec::new()
        };
        Ok(Statement::CreateUser(CreateUser {
            if_not_exists,
            users,
            default_roles,
            options: self.account_options()?,
        }))
    }

    /// Behind ALTER USER.
    pub fn alter_user(&mut self) -> Result<Statement> {
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let users = self.comma_separated(Self::user_spec)?;
        let default_roles =
            if self.eat_words(&["DEFAULT", "ROLE"]) { Some(self.role_selection(false)?) } else { None };
        Ok(Statement::AlterUser(AlterUser {
            if_exists,
            users,
            default_roles,
            options: self.account_options()?,
        }))
    }

    /// Behind CREATE ROLE.
    pub fn create_role(&mut self) -> Result<Statement> {
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let roles = self.comma_separated(Self::user_name)?;
        Ok(Statement::CreateRole(CreateRole { if_not_exists, roles }))
    }

    /// DEFAULT, NONE, ALL \[EXCEPT ..], or roles.
    pub fn role_selection(&mut self, default_allowed: bool) -> Result<RoleSelection> {
        if default_allowed && self.eat_word("DEFAULT") {
            return Ok(RoleSelection::Default);
        }
        if self.eat_word("NONE") {
            return Ok(RoleSelection::None);
        }
        if self.eat_word("ALL") {
            if default_allowed && self.eat_word("EXCEPT") {
                return Ok(RoleSelection::AllExcept(self.comma_separated(Self::user_name)?));
            }
            return Ok(RoleSelection::All);
        }
        Ok(RoleSelection::Roles(self.comma_separated(Self::user_name)?))
    }

    /// Whether the list here names roles: no ON before TO or FROM.
    fn names_roles(&self, end: &str) -> bool {
        let mut depth = 0usize;
        for index in self.position..self.lexemes.len() {
            let at = self.at(index);
            match at.kind() {
                Kind::LeftParen => depth += 1,
                Kind::RightParen => depth = depth.saturating_sub(1),
                Kind::Word if depth == 0 && at.is_word("ON") => return false,
                Kind::Word if depth == 0 && at.is_word(end) => return !self.is_one_of(PRIVILEGE_WORDS),
                _ => {}
            }
        }
        false
    }

    fn privilege(&mut self) -> Result<Privilege> {
        let long = LONG_PRIVILEGES.iter().find(|words| self.is_words(words));
        let name = match long {
            Some(words) => {
                self.position += words.len();
                if words[0] == "ALL" { "ALL".to_owned() } else { words.join(" ") }
            }
            None if self.is(Kind::Word) || self.is(Kind::QuotedName) => {
                self.ident_after_period()?.0.to_uppercase()
            }
            None => return self.fail(),
        };
        let columns = if self.is(Kind::LeftParen) { self.parenthesised(Self::ident)? } else { Vec::new() };
        Ok(Privilege { name, columns })
    }

    fn privilege_level(&mut self) -> Result<(Option<ObjectKind>, GrantLevel)> {
        let kind = match self.eat_one_of(&["TABLE", "FUNCTION", "PROCEDURE"]) {
            Some("TABLE") => Some(ObjectKind::Table),
            Some("FUNCTION") => Some(ObjectKind::Function),
            Some(_) => Some(ObjectKind::Procedure),
            None => None,
        };
        let level = if self.eat(Kind::Star) {
            if self.eat(Kind::Period) {
                self.expect(Kind::Star)?;
                GrantLevel::Global
            } else {
                GrantLevel::Database(None)
            }
        } else {
            let name = self.ident()?;
            if self.eat(Kind::Period) {
                if self.eat(Kind::Star) {
                    GrantLevel::Database(Some(name))
                } else {
                    GrantLevel::Table(ObjectName { schema: Some(name), name: self.ident_after_period()? })
                }
            } else {
                GrantLevel::Table(ObjectName { schema: None, name })
            }
        };
        Ok((kind, level))
    }

    /// Behind GRANT.
    pub fn grant(&mut self) -> Result<Statement> {
        if self.names_roles("TO") {
            let roles = self.comma_separated(Self::user_name)?;
            self.expect_word("TO")?;
            let users = self.comma_separated(Self::user_ref)?;
            let with_admin_option = self.eat_words(&["WITH", "ADMIN", "OPTION"]);
            return Ok(Statement::GrantRole(GrantRole { roles, users, with_admin_option }));
        }
        if self.is_words(&["PROXY", "ON"]) {
            return self.unsupported("GRANT PROXY");
        }
        let privileges = self.comma_separated(Self::privilege)?;
        self.expect_word("ON")?;
        let (object_kind, level) = self.privilege_level()?;
        self.expect_word("TO")?;
        let users = self.comma_separated(Self::user_spec)?;
        let mut options = self.account_options()?;
        let mut with_grant_option = false;
        if self.eat_word("WITH") {
            loop {
                if self.eat_words(&["GRANT", "OPTION"]) {
                    with_grant_option = true;
                } else if let Some(resource) = self.eat_one_of(RESOURCES) {
                    options.resources.push((resource.to_owned(), self.unsigned()?));
                } else {
                    break;
                }
            }
            if !with_grant_option && options.resources.is_empty() {
                return self.fail();
            }
        }
        Ok(Statement::Grant(Box::new(Grant {
            privileges,
            object_kind,
            level,
            users,
            options,
            with_grant_option,
        })))
    }

    /// Behind REVOKE.
    pub fn revoke(&mut self) -> Result<Statement> {
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        if self.names_roles("FROM") {
            let roles = self.comma_separated(Self::user_name)?;
            self.expect_word("FROM")?;
            let users = self.comma_separated(Self::user_ref)?;
            return Ok(Statement::RevokeRole(RevokeRole { if_exists, roles, users }));
        }
        let privileges = self.comma_separated(Self::privilege)?;
        let (object_kind, level) = if self.eat_word("ON") {
            self.privilege_level()?
        } else {
            // Only REVOKE ALL, GRANT OPTION does without an object.
            let both =
                privileges.len() == 2 && privileges[0].name == "ALL" && privileges[1].name == "GRANT OPTION";
            if !both {
                return self.fail();
            }
            (None, GrantLevel::Global)
        };
        self.expect_word("FROM")?;
        let users = self.comma_separated(Self::user_ref)?;
        let ignore_unknown = self.eat_words(&["IGNORE", "UNKNOWN", "USER"]);
        Ok(Statement::Revoke(Box::new(Revoke {
            if_exists,
            privileges,
            object_kind,
            level,
            users,
            ignore_unknown,
        })))
    }

    /// `IDENTIFIED ..`-free reference list, as SET DEFAULT ROLE and others need it.
    pub fn user_refs(&mut self) -> Result<Vec<UserRef>> {
        self.comma_separated(Self::user_ref)
    }
}
