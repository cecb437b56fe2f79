//! Statements that change the schema: checked here, carried out as jobs.

use std::sync::Arc;

use tidewater_catalog::{
    CiName, DbInfo, Definer, InfoSchema, Job, JobKind, TableInfo, TableRename, ViewInfo,
};
use tidewater_codec::{DbId, TableId, table_key};
use tidewater_ddl::define::{DefineContext, build_table, build_table_like, resolve_charset};
use tidewater_ddl::{AlterContext, AlterStep, plan_alter};
use tidewater_parser::ast::{self, DatabaseOption, ObjectName};
use tidewater_types::{Collation, ErrorCode, SqlError};

use crate::database::TableSplit;
use crate::error::{
    from_ddl, from_txn, no_such_table, sql_error, unknown_database, unsupported, wrong_object,
};
use crate::infoschema::is_virtual_database;
use crate::privileges::Rights;
use crate::result::OkResult;
use crate::session::Session;
use crate::variables::ScatterNew;

impl Session {
    fn define_context<'a>(&self, database: &'a DbInfo) -> DefineContext<'a> {
        let eval = self.eval_context();
        DefineContext {
            convert: self.convert_context(&eval),
            database,
            clustered: self.vars.by_name("tidb_enable_clustered_index") != "OFF",
        }
    }

    async fn run_job(
        &mut self,
        kind: JobKind,
        database: &DbInfo,
        table: Option<&TableInfo>,
        sql: &str,
    ) -> Result<(), SqlError> {
        let job = Job::new(kind, database, table, sql);
        // On the heap: it would be a part of the future of every kind of schema statement.
        let ended = Box::pin(self.db.ddl().run_unless(job, self.process.query_killed()));
        ended.await.map_err(from_ddl)?;
        Ok(())
    }

    async fn new_id(&self) -> Result<i64, SqlError> {
        self.db.ddl().take_ids(1).await.map_err(from_ddl)
    }

    /// The database a table is to be made in or changed in; computed ones are refused.
    fn writable_database(&self, schema: &InfoSchema, name: Option<&str>) -> Result<Arc<DbInfo>, SqlError> {
        let name = self.database_name(name)?;
        if is_virtual_database(&name) {
            return Err(self.privileges().database_denied(&name));
        }
        schema.database(&name).cloned().ok_or_else(|| unknown_database(&name))
    }

    fn check_right(&self, database: &DbInfo, table: &str, right: Rights, verb: &str) -> Result<(), SqlError> {
        self.privileges().check_table(database.name.lower(), &table.to_lowercase(), right, verb)
    }

    pub(crate) async fn create_database(
        &mut self,
        create: &ast::CreateDatabase,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        self.privileges().check_database(&create.name.lower(), Rights::CREATE)?;
        if create.name.chars().count() > 64 {
            return Err(sql_error(
                ErrorCode::TooLongIdent,
                format!("Identifier name '{}' is too long", create.name.as_str()),
            ));
        }
        if create.name.is_empty() || create.name.ends_with(' ') {
            return Err(sql_error(
                ErrorCode::WrongDbName,
                format!("Incorrect database name '{}'", create.name.as_str()),
            ));
        }
        let schema = self.db.schema();
        if schema.database(&create.name).is_some() {
            let message = format!("Can't create database '{}'; database exists", create.name.as_str());
            if create.if_not_exists {
                self.warnings.push_note(ErrorCode::DbCreateExists.number(), message);
                let mut ok = self.ok();
                ok.affected_rows = 1;
                return Ok(ok);
            }
            return Err(sql_error(ErrorCode::DbCreateExists, message));
        }
        let default = Collation::from_name(self.vars.by_name("collation_server")).unwrap_or_default();
        let collation = options_collation(&create.options, default)?;
        let mut database = DbInfo::new(DbId(self.new_id().await?), create.name.as_str());
        database.charset = collation.charset().name().to_owned();
        database.collation = collation.name().to_owned();
        self.run_job(JobKind::CreateDatabase { database: database.clone() }, &database, None, sql).await?;
        let mut ok = self.ok();
        ok.affected_rows = 1;
        Ok(ok)
    }

    pub(crate) async fn alter_database(
        &mut self,
        alter: &ast::AlterDatabase,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let database = self.writable_database(&schema, alter.name.as_deref())?;
        self.privileges().check_database(database.name.lower(), Rights::ALTER)?;
        let collation = options_collation(&alter.options, database.default_collation())?;
        let kind = JobKind::AlterDatabase {
            charset: collation.charset().name().to_owned(),
            collation: collation.name().to_owned(),
        };
        self.run_job(kind, &database, None, sql).await?;
        let mut ok = self.ok();
        ok.affected_rows = 1;
        Ok(ok)
    }

    pub(crate) async fn drop_database(
        &mut self,
        drop: &ast::DropDatabase,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        self.privileges().check_database(&drop.name.lower(), Rights::DROP)?;
        let schema = self.db.schema();
        if is_virtual_database(&drop.name) {
            return Err(self.privileges().database_denied(&drop.name));
        }
        let Some(database) = schema.database(&drop.name).cloned() else {
            let message = format!("Can't drop database '{}'; database doesn't exist", drop.name.as_str());
            if drop.if_exists {
                self.warnings.push_note(ErrorCode::DbDropExists.number(), message);
                return Ok(self.ok());
            }
            return Err(sql_error(ErrorCode::DbDropExists, message));
        };
        let tables = schema.tables(database.name.lower()).count() as u64;
        self.run_job(JobKind::DropDatabase, &database, None, sql).await?;
        if self.current_db.as_deref().is_some_and(|current| database.name.matches(current)) {
            self.current_db = None;
            self.process.update(|info| info.db = None);
        }
        let mut ok = self.ok();
        ok.affected_rows = tables;
        Ok(ok)
    }

    pub(crate) async fn create_table(
        &mut self,
        create: &ast::CreateTable,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        self.refuse_writes_to_the_past()?;
        if create.temporary {
            return Err(unsupported("temporary tables"));
        }
        let schema = self.db.schema();
        let database = self.writable_database(&schema, create.name.schema.as_deref())?;
        self.check_right(&database, &create.name.name, Rights::CREATE, "CREATE")?;
        if schema.table(database.name.lower(), &create.name.name).is_some() {
            let message = format!("Table '{}' already exists", create.name.name.as_str());
            if create.if_not_exists {
                self.warnings.push_note(ErrorCode::TableExistsError.number(), message);
                return Ok(self.ok());
            }
            return Err(sql_error(ErrorCode::TableExistsError, message));
        }
        let mut table = match &create.like {
            Some(like) => {
                let (_, like) = self.known_table(&schema, like)?;
                if like.is_view() {
                    return Err(wrong_object(format!("'{}.{}' is not BASE TABLE", database.name, like.name)));
                }
                build_table_like(&like, &create.name.name)
            }
            None => match &create.query {
                Some(_) => return self.create_table_as(create, &database, sql).await,
                None => build_table(&self.define_context(&database), create).map_err(from_ddl)?,
            },
        };
        table.id = TableId(self.new_id().await?);
        let id = table.id;
        let kind = JobKind::CreateTable { table: Box::new(table.clone()) };
        self.run_job(kind, &database, Some(&table), sql).await?;
        self.split_new_table(id).await?;
        Ok(self.ok())
    }

    /// CREATE TABLE .. AS SELECT: the columns the query adds, then its rows.
    async fn create_table_as(
        &mut self,
        create: &ast::CreateTable,
        database: &Arc<DbInfo>,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let Some(query) = &create.query else { return Ok(self.ok()) };
        let statement = ast::Statement::Query(query.clone());
        let context = self.statement(Vec::new());
        let planned = self.plan_statement(&statement, &context)?;
        let mut bare = create.clone();
        bare.query = None;
        let mut table = if bare.columns.is_empty() && bare.constraints.is_empty() {
            // A definition needs a column: the query gives it.
            let mut table = TableInfo::new(TableId(0), create.name.name.as_str());
            let collation = database.default_collation();
            table.charset = collation.charset().name().to_owned();
            table.collation = collation.name().to_owned();
            table
        } else {
            build_table(&self.define_context(database), &bare).map_err(from_ddl)?
        };
        for field in planned.fields.iter() {
            if table.column(&field.name).is_some() {
                continue;
            }
            let mut field_type = field.field_type.clone();
            let keys = tidewater_types::TypeFlags::PRI_KEY
                | tidewater_types::TypeFlags::UNIQUE_KEY
                | tidewater_types::TypeFlags::MULTIPLE_KEY
                | tidewater_types::TypeFlags::AUTO_INCREMENT;
            field_type.flags.remove(keys);
            if field_type.code == tidewater_types::TypeCode::Null {
                field_type = tidewater_types::FieldType::binary_string();
                field_type.length = 0;
            }
            if field_type.code == tidewater_types::TypeCode::VarString {
                field_type.code = tidewater_types::TypeCode::VarChar;
                if field_type.length < 0 {
                    field_type = tidewater_types::FieldType::new(tidewater_types::TypeCode::Blob)
                        .with_collation(field_type.collation);
                }
            }
            table.add_column(field.name.as_str(), field_type);
        }
        table.id = TableId(self.new_id().await?);
        let kind = JobKind::CreateTable { table: Box::new(table.clone()) };
        self.run_job(kind, database, Some(&table), sql).await?;
        let insert = ast::Insert {
            hints: Vec::new(),
            replace: create.on_duplicate == ast::LoadConflict::Replace,
            priority: None,
            ignore: create.on_duplicate == ast::LoadConflict::Ignore,
            table: ObjectName { schema: Some(database.name.as_str().into()), name: create.name.name.clone() },
            partitions: Vec::new(),
            columns: Some(
                planned.fields.iter().map(|field| ast::ColumnName::bare(field.name.as_str())).collect(),
            ),
            source: ast::InsertSource::Query(query.clone()),
            row_alias: None,
            on_duplicate: Vec::new(),
        };
        Box::pin(self.run_dml(&ast::Statement::Insert(Box::new(insert)), Vec::new())).await
    }

    /// Cuts a new table into regions, as the settings say. Tests run every statement over many small ones.
    async fn split_new_table(&mut self, table: TableId) -> Result<(), SqlError> {
        let mut keys = vec![table_key::table_prefix(table)];
        match self.db.options.split_tables {
            TableSplit::Never => return Ok(()),
            TableSplit::Apart => {
                match self.db.client().split_regions(keys).await {
                    Ok(new) => self.scatter_new_table(table, &new).await,
                    // The table is there in any case, only less well spread.
                    Err(error) => {
                        tracing::warn!(%error, table = table.0, "a new table got no region of its own");
                    }
                }
                return Ok(());
            }
            TableSplit::Tiny => {}
        }
        keys.push(table_key::row_prefix(table));
        for handle in [2, 3, 5, 8, 13, 50, 100, 1000] {
            keys.push(table_key::row_key(table, &tidewater_codec::Handle::Int(handle)));
        }
        for index in 1..=3 {
            keys.push(table_key::index_prefix(table, tidewater_codec::IndexId(index)));
        }
        let new = self.db.client().split_regions(keys).await.map_err(|error| from_txn(&error))?;
        self.scatter_new_table(table, &new).await;
        Ok(())
    }

    async fn scatter_new_table(&self, table: TableId, regions: &[u64]) {
        let group = match self.vars.hot.scatter_new {
            ScatterNew::No => return,
            ScatterNew::ByTable => table.0.to_string(),
            ScatterNew::Together => String::new(),
        };
        self.scatter_regions(regions, group).await;
    }

    pub(crate) async fn alter_table(
        &mut self,
        alter: &ast::AlterTable,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let database = self.writable_database(&schema, alter.table.schema.as_deref())?;
        let table = self.base_table(&schema, &database, &alter.table)?;
        self.check_right(&database, table.name.lower(), Rights::ALTER, "ALTER")?;
        let steps = {
            let database_id = |name: &str| schema.database(name).map(|database| database.id);
            let context = AlterContext { define: self.define_context(&database), database_id: &database_id };
            plan_alter(&context, &database, &table, &alter.actions).map_err(from_ddl)?
        };
        self.run_steps(steps, &database, &table, sql).await
    }

    async fn run_steps(
        &mut self,
        steps: Vec<AlterStep>,
        database: &DbInfo,
        table: &TableInfo,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        for step in steps {
            match step {
                AlterStep::Job(kind) => self.run_job(kind, database, Some(table), sql).await?,
                AlterStep::VerifyCheck { check, undo } => {
                    if let Err(error) = self.verify_check(table.id, &check).await {
                        self.run_job(undo, database, Some(table), sql).await?;
                        return Err(error);
                    }
                }
                AlterStep::Note { code, message } => self.warnings.push_note(code.number(), message),
            }
        }
        Ok(self.ok())
    }

    fn base_table(
        &self,
        schema: &InfoSchema,
        database: &DbInfo,
        name: &ObjectName,
    ) -> Result<Arc<TableInfo>, SqlError> {
        let table = schema
            .table(database.name.lower(), &name.name)
            .ok_or_else(|| no_such_table(database.name.as_str(), &name.name))?;
        if table.is_view() {
            return Err(wrong_object(format!("'{}.{}' is not BASE TABLE", database.name, table.name)));
        }
        Ok(Arc::clone(table))
    }

    pub(crate) async fn drop_table(
        &mut self,
        drop: &ast::DropTable,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        self.drop_objects(&drop.tables, drop.if_exists, false, sql).await
    }

    pub(crate) async fn drop_view(&mut self, drop: &ast::DropView, sql: &str) -> Result<OkResult, SqlError> {
        self.drop_objects(&drop.views, drop.if_exists, true, sql).await
    }

    async fn drop_objects(
        &mut self,
        names: &[ObjectName],
        if_exists: bool,
        views: bool,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let mut missing = Vec::new();
        for name in names {
            let database_name = self.database_name(name.schema.as_deref())?;
            if is_virtual_database(&database_name) {
                return Err(self.privileges().database_denied(&database_name));
            }
            let found = schema
                .database(&database_name)
                .cloned()
                .and_then(|database| Some((schema.table(&database_name, &name.name)?.clone(), database)));
            let Some((table, database)) = found else {
                missing.push(format!("{database_name}.{}", name.name.as_str()));
                continue;
            };
            self.check_right(&database, table.name.lower(), Rights::DROP, "DROP")?;
            if table.is_view() != views {
                if views {
                    return Err(wrong_object(format!("'{}.{}' is not VIEW", database.name, table.name)));
                }
                missing.push(format!("{database_name}.{}", name.name.as_str()));
                continue;
            }
            let kind = if views { JobKind::DropView } else { JobKind::DropTable };
            self.run_job(kind, &database, Some(&table), sql).await?;
        }
        if !missing.is_empty() {
            let message = format!("Unknown table '{}'", missing.join(","));
            if !if_exists {
                return Err(sql_error(ErrorCode::BadTableError, message));
            }
            self.warnings.push_note(ErrorCode::BadTableError.number(), message);
        }
        Ok(self.ok())
    }

    pub(crate) async fn truncate_table(
        &mut self,
        name: &ObjectName,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let database = self.writable_database(&schema, name.schema.as_deref())?;
        let table = self.base_table(&schema, &database, name)?;
        self.check_right(&database, table.name.lower(), Rights::DROP, "DROP")?;
        let new_id = TableId(self.new_id().await?);
        self.run_job(JobKind::TruncateTable { new_id }, &database, Some(&table), sql).await?;
        self.split_new_table(new_id).await?;
        Ok(self.ok())
    }

    pub(crate) async fn rename_table(
        &mut self,
        rename: &ast::RenameTable,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let mut renames: Vec<TableRename> = Vec::new();
        let mut first = None;
        for (from, to) in &rename.renames {
            let source = self.writable_database(&schema, from.schema.as_deref())?;
            let target = self.writable_database(&schema, to.schema.as_deref())?;
            // A name that an earlier pair of the statement has made.
            let moved = renames
                .iter()
                .rev()
                .find(|earlier| earlier.new_schema_id == source.id && earlier.new_name.matches(&from.name))
                .map(|earlier| earlier.table_id);
            let id = match moved {
                Some(id) => id,
                None => {
                    let table = schema
                        .table(source.name.lower(), &from.name)
                        .ok_or_else(|| no_such_table(source.name.as_str(), &from.name))?;
                    first.get_or_insert_with(|| (Arc::clone(&source), Arc::clone(table)));
                    table.id
                }
            };
            self.check_right(&source, &from.name, Rights::ALTER | Rights::DROP, "ALTER")?;
            self.check_right(&target, &to.name, Rights::CREATE | Rights::INSERT, "CREATE")?;
            renames.push(TableRename {
                table_id: id,
                old_schema_id: source.id,
                new_schema_id: target.id,
                old_name: CiName::new(from.name.as_str()),
                new_name: CiName::new(to.name.as_str()),
            });
        }
        let Some((database, table)) = first else { return Ok(self.ok()) };
        self.run_job(JobKind::RenameTables { renames }, &database, Some(&table), sql).await?;
        Ok(self.ok())
    }

    pub(crate) async fn create_index(
        &mut self,
        create: &ast::CreateIndex,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let action = ast::AlterAction::AddConstraint(ast::TableConstraint::Index(create.index.clone()));
        self.alter_index(&create.table, action, sql).await
    }

    pub(crate) async fn drop_index(
        &mut self,
        drop: &ast::DropIndex,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let action = ast::AlterAction::DropIndex { if_exists: drop.if_exists, name: drop.name.clone() };
        self.alter_index(&drop.table, action, sql).await
    }

    async fn alter_index(
        &mut self,
        table: &ObjectName,
        action: ast::AlterAction,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let database = self.writable_database(&schema, table.schema.as_deref())?;
        let table = self.base_table(&schema, &database, table)?;
        self.check_right(&database, table.name.lower(), Rights::INDEX, "INDEX")?;
        let steps = {
            let database_id = |name: &str| schema.database(name).map(|database| database.id);
            let context = AlterContext { define: self.define_context(&database), database_id: &database_id };
            plan_alter(&context, &database, &table, &[action]).map_err(from_ddl)?
        };
        self.run_steps(steps, &database, &table, sql).await
    }

    pub(crate) async fn create_view(
        &mut self,
        create: &ast::CreateView,
        sql: &str,
    ) -> Result<OkResult, SqlError> {
        let schema = self.db.schema();
        let database = self.writable_database(&schema, create.name.schema.as_deref())?;
        self.check_right(&database, &create.name.name, Rights::CREATE_VIEW, "CREATE VIEW")?;
        let old = schema.table(database.name.lower(), &create.name.name);
        let replaces = match old {
            Some(old) if !old.is_view() => {
                return Err(wrong_object(format!("'{}.{}' is not VIEW", database.name, old.name)));
            }
            Some(old) if create.or_replace || create.alter => Some(old.id),
            Some(old) => {
                return Err(sql_error(
                    ErrorCode::TableExistsError,
                    format!("Table '{}' already exists", old.name),
                ));
            }
            None if create.alter => return Err(no_such_table(database.name.as_str(), &create.name.name)),
            None => None,
        };
        let statement = ast::Statement::Query(create.query.clone());
        let context = self.statement(Vec::new());
        let planned = self.plan_statement(&statement, &context)?;
        if !create.columns.is_empty() && create.columns.len() != planned.fields.len() {
            return Err(sql_error(
                ErrorCode::ViewWrongList,
                "In definition of view, derived table or common table expression, SELECT list and column names list \
                 have different column counts",
            ));
        }
        let mut view = TableInfo::new(TableId(self.new_id().await?), create.name.name.as_str());
        for (position, field) in planned.fields.iter().enumerate() {
            let name = create.columns.get(position).map_or(field.name.as_str(), |name| name.as_str());
            if view.column(name).is_some() {
                return Err(sql_error(ErrorCode::DupFieldname, format!("Duplicate column name '{name}'")));
            }
            view.add_column(name, field.field_type.clone());
        }
        let mut query = create.query.clone();
        qualify(&mut query, database.name.as_str(), self.current_db.as_deref());
        let definer = match (&create.definer, &self.options.account) {
            (Some(definer), _) => Definer { user: definer.user.clone(), host: definer.host.clone() },
            (None, Some((user, host))) => Definer { user: user.clone(), host: host.clone() },
            (None, None) => Definer { user: "root".to_owned(), host: "%".to_owned() },
        };
        view.view = Some(ViewInfo {
            algorithm: match create.algorithm.as_deref() {
                Some("MERGE") => 1,
                Some("TEMPTABLE") => 2,
                _ => 0,
            },
            definer,
            security: u8::from(create.invoker),
            select: query.to_string(),
            check_option: u8::from(create.check_option.as_deref() == Some("CASCADED")),
            columns: view.columns.iter().map(|column| column.name.clone()).collect(),
        });
        let kind = JobKind::CreateView { view: Box::new(view.clone()), replaces };
        self.run_job(kind, &database, Some(&view), sql).await?;
        Ok(self.ok())
    }
}

fn options_collation(options: &[DatabaseOption], default: Collation) -> Result<Collation, SqlError> {
    let mut charset = None;
    let mut collation = None;
    for option in options {
        match option {
            DatabaseOption::Charset(name) => charset = Some(name.as_str()),
            DatabaseOption::Collate(name) => collation = Some(name.as_str()),
            DatabaseOption::Encryption(_)
            | DatabaseOption::PlacementPolicy(_)
            | DatabaseOption::ReadOnly(_) => {}
        }
    }
    resolve_charset(charset, collation, default).map_err(from_ddl)
}

/// Names of tables in a view's query are those of the database it was written in.
fn qualify(query: &mut ast::Query, database: &str, current: Option<&str>) {
    let home = current.unwrap_or(database);
    let mut names = Vec::new();
    if let Some(with) = &mut query.with {
        for table in &mut with.tables {
            names.push(table.name.lower());
            qualify(&mut table.query, database, current);
        }
    }
    qualify_body(&mut query.body, home, &names);
}

fn qualify_body(body: &mut ast::QueryBody, home: &str, common: &[String]) {
    match body {
        ast::QueryBody::Select(select) => {
            for table in &mut select.from {
                qualify_table(table, home, common);
            }
        }
        ast::QueryBody::Table(name) => qualify_name(name, home, common),
        ast::QueryBody::SetOperation(operation) => {
            qualify_body(&mut operation.first, home, common);
            for operand in &mut operation.rest {
                qualify_body(&mut operand.body, home, common);
            }
        }
        ast::QueryBody::Query(query) => qualify(query, home, Some(home)),
        ast::QueryBody::Values(_) => {}
    }
}

fn qualify_table(table: &mut ast::TableRef, home: &str, common: &[String]) {
    match table {
        ast::TableRef::Table(factor) => {
            // A column may be qualified by the bare name: it goes on to work through an alias.
            if factor.name.schema.is_none()
                && factor.alias.is_none()
                && !common.contains(&factor.name.name.lower())
            {
                factor.alias = Some(factor.name.name.clone());
            }
            qualify_name(&mut factor.name, home, common);
        }
        ast::TableRef::Derived(derived) => qualify(&mut derived.query, home, Some(home)),
        ast::TableRef::Join(join) => {
            qualify_table(&mut join.left, home, common);
            qualify_table(&mut join.right, home, common);
        }
    }
}

fn qualify_name(name: &mut ObjectName, home: &str, common: &[String]) {
    if name.schema.is_none() && !common.contains(&name.name.lower()) {
        name.schema = Some(home.into());
    }
}
