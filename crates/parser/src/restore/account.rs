//! Users, roles and privileges.

use std::fmt::{self, Display, Formatter};

use super::{List, Quoted, write_if, write_list, write_some};
use crate::ast::{
    AccountOptions, AlterUser, AuthOption, CreateRole, CreateUser, Credential, DropUser, Grant, GrantLevel,
    GrantRole, ObjectKind, PasswordExpire, Privilege, RenameUser, Revoke, RevokeRole, RoleSelection,
    SetDefaultRole, SetPassword, UserSpec,
};

impl Display for UserSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.user.fmt(f)?;
        write_some(f, " IDENTIFIED", self.auth.as_ref())
    }
}

impl Display for AuthOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_some(f, " WITH ", self.plugin.as_deref().map(Quoted).as_ref())?;
        match &self.credential {
            Credential::None => {}
            Credential::Password(password) => write!(f, " BY {}", Quoted(password))?,
            Credential::Random => f.write_str(" BY RANDOM PASSWORD")?,
            Credential::Hash(hash) if self.plugin.is_some() => write!(f, " AS {}", Quoted(hash))?,
            Credential::Hash(hash) => write!(f, " BY PASSWORD {}", Quoted(hash))?,
        }
        write_some(f, " REPLACE ", self.replace.as_deref().map(Quoted).as_ref())?;
        write_if(f, self.retain_current, " RETAIN CURRENT PASSWORD")
    }
}

impl Display for AccountOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { require, resources, locked, password_expire, password_rules, comment, attribute } = self;
        for (index, (kind, value)) in require.iter().enumerate() {
            f.write_str(if index == 0 { " REQUIRE " } else { " AND " })?;
            f.write_str(kind)?;
            write_some(f, " ", value.as_deref().map(Quoted).as_ref())?;
        }
        for (index, (resource, value)) in resources.iter().enumerate() {
            write_if(f, index == 0, " WITH")?;
            write!(f, " {resource} {value}")?;
        }
        f.write_str(match locked {
            Some(true) => " ACCOUNT LOCK",
            Some(false) => " ACCOUNT UNLOCK",
            None => "",
        })?;
        match password_expire {
            None => {}
            Some(PasswordExpire::Now) => f.write_str(" PASSWORD EXPIRE")?,
            Some(PasswordExpire::Default) => f.write_str(" PASSWORD EXPIRE DEFAULT")?,
            Some(PasswordExpire::Never) => f.write_str(" PASSWORD EXPIRE NEVER")?,
            Some(PasswordExpire::Days(days)) => write!(f, " PASSWORD EXPIRE INTERVAL {days} DAY")?,
        }
        for (rule, value) in password_rules {
            let unit = if rule == "PASSWORD REUSE INTERVAL" && value != "DEFAULT" { " DAY" } else { "" };
            let blank = if value.is_empty() { "" } else { " " };
            write!(f, " {rule}{blank}{value}{unit}")?;
        }
        write_some(f, " COMMENT ", comment.as_deref().map(Quoted).as_ref())?;
        write_some(f, " ATTRIBUTE ", attribute.as_deref().map(Quoted).as_ref())
    }
}

impl Display for CreateUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE USER ")?;
        write_if(f, self.if_not_exists, "IF NOT EXISTS ")?;
        List(&self.users).fmt(f)?;
        if !self.default_roles.is_empty() {
            write!(f, " DEFAULT ROLE {}", List(&self.default_roles))?;
        }
        self.options.fmt(f)
    }
}

impl Display for AlterUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ALTER USER ")?;
        write_if(f, self.if_exists, "IF EXISTS ")?;
        List(&self.users).fmt(f)?;
        write_some(f, " DEFAULT ROLE ", self.default_roles.as_ref())?;
        self.options.fmt(f)
    }
}

impl Display for DropUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.role { "DROP ROLE " } else { "DROP USER " })?;
        write_if(f, self.if_exists, "IF EXISTS ")?;
        List(&self.users).fmt(f)
    }
}

impl Display for RenameUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("RENAME USER ")?;
        write_list(f, &self.renames, |f, (from, to)| write!(f, "{from} TO {to}"))
    }
}

impl Display for CreateRole {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE ROLE ")?;
        write_if(f, self.if_not_exists, "IF NOT EXISTS ")?;
        List(&self.roles).fmt(f)
    }
}

impl Display for Privilege {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.columns.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", List(&self.columns))
    }
}

impl Display for ObjectKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "TABLE ",
            Self::Function => "FUNCTION ",
            Self::Procedure => "PROCEDURE ",
        })
    }
}

impl Display for GrantLevel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("*.*"),
            Self::Database(Some(name)) => write!(f, "{name}.*"),
            Self::Database(None) => f.write_str("*"),
            Self::Table(name) => name.fmt(f),
        }
    }
}

impl Display for Grant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { privileges, object_kind, level, users, options, with_grant_option } = self;
        write!(f, "GRANT {} ON ", List(privileges))?;
        write_some(f, "", object_kind.as_ref())?;
        write!(f, "{level} TO {}{options}", List(users))?;
        write_if(f, *with_grant_option, " WITH GRANT OPTION")
    }
}

impl Display for GrantRole {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "GRANT {} TO {}", List(&self.roles), List(&self.users))?;
        write_if(f, self.with_admin_option, " WITH ADMIN OPTION")
    }
}

impl Display for Revoke {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { if_exists, privileges, object_kind, level, users, ignore_unknown } = self;
        f.write_str("REVOKE ")?;
        write_if(f, *if_exists, "IF EXISTS ")?;
        write!(f, "{} ON ", List(privileges))?;
        write_some(f, "", object_kind.as_ref())?;
        write!(f, "{level} FROM {}", List(users))?;
        write_if(f, *ignore_unknown, " IGNORE UNKNOWN USER")
    }
}

impl Display for RevokeRole {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("REVOKE ")?;
        write_if(f, self.if_exists, "IF EXISTS ")?;
        write!(f, "{} FROM {}", List(&self.roles), List(&self.users))
    }
}

impl Display for RoleSelection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("DEFAULT"),
            Self::None => f.write_str("NONE"),
            Self::All => f.write_str("ALL"),
            Self::AllExcept(roles) => write!(f, "ALL EXCEPT {}", List(roles)),
            Self::Roles(roles) => List(roles).fmt(f),
        }
    }
}

impl Display for SetDefaultRole {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SET DEFAULT ROLE {} TO {}", self.roles, List(&self.users))
    }
}

impl Display for SetPassword {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SET PASSWORD")?;
        write_some(f, " FOR ", self.user.as_ref())?;
        match &self.password {
            Some(password) => write!(f, " = {}", Quoted(password))?,
            None => f.write_str(" TO RANDOM")?,
        }
        write_some(f, " REPLACE ", self.replace.as_deref().map(Quoted).as_ref())
    }
}
