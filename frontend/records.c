/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record layouts: fields follow one another without implicit padding; `pad n` leaves bytes, `align
 * n` moves to the next multiple of n (at the end: rounds the record up). A sub-byte row starts on a
 * byte.
 */
#include "frontend/value.h"

#include <string.h>

#define MAX_RECORD_BYTES ((int64_t)1 << 40)

int tg_el_record_params(const tg_decl *d) { return d->u.record.ct.n; }

const tg_decl *tg_el_record_named(tg_elab *e, const tg_type_expr *t) {
    const tg_file *m =
        t->module.name == NULL ? e->file : tg_program_module(e->p, e->file, t->module.name);
    const tg_decl *d = m == NULL                ? NULL
                       : t->module.name == NULL ? tg_program_find(e->p, m, t->name.name)
                                                : tg_file_find(m, t->name.name);
    return d != NULL && d->kind == TG_DECL_RECORD ? d : NULL;
}

const tg_record_field *tg_el_record_field(const tg_record *r, const char *name) {
    for (int i = 0; i < r->n_fields; i++) {
        if (strcmp(r->fields[i].name, name) == 0) {
            return &r->fields[i];
        }
    }
    return NULL;
}

static bool field_strides(tg_record_field *f, int bits) {
    int64_t step = f->elem_bytes;
    int a = f->rank - 1;
    if (bits < 8 && f->rank > 0) { /* the packed axis: rounded up to bytes */
        f->strides[a] = 0;
        step = (f->dims[a] * bits + 7) / 8;
        a--;
    }
    for (; a >= 0; a--) {
        f->strides[a] = step;
        if (!tg_mul_i64(step, f->dims[a], &step) || step > MAX_RECORD_BYTES) {
            return false;
        }
    }
    f->bytes = step;
    return true;
}

/* A nested parameterised record arrives with its arguments in front of its axes. */
static bool field_type(tg_elab *e, const tg_field *src, tg_record_field *f) {
    tg_type_expr t = src->type;
    const tg_decl *d = tg_el_record_named(e, &t);
    if (d != NULL && tg_el_record_params(d) > 0 && !t.has_args && t.has_dims) {
        t.args = t.dims;
        t.has_args = true;
        t.dims = (tg_expr_list){NULL, 0};
    }
    if (!tg_el_type(e, &t, &f->dtype, &f->record)) {
        return false;
    }
    f->rank = t.dims.n;
    if (f->rank > TG_MAX_RANK) {
        tg_el_error(e, TG_D_RECORD, src->span, "a field has at most %d axes", TG_MAX_RANK);
        return false;
    }
    for (int i = 0; i < f->rank; i++) {
        if (!tg_el_const_int(e, t.dims.items[i], "the extent of a field", &f->dims[i])) {
            return false;
        }
        if (f->dims[i] < 1) {
            tg_el_error(e, TG_D_RECORD, t.dims.items[i]->span, "an extent of %lld",
                        (long long)f->dims[i]);
            return false;
        }
    }
    int bits = f->record != NULL ? 8 : tg_dtype_bits(f->dtype);
    if (bits < 8 && f->rank == 0) {
        tg_el_error(e, TG_D_RECORD, src->span,
                    "one %s does not fill a byte: give the field an axis", tg_dtype_name(f->dtype));
        return false;
    }
    f->elem_bytes = f->record != NULL ? f->record->bytes : bits / 8;
    if (!field_strides(f, bits)) {
        tg_el_error(e, TG_D_RECORD, src->span, "this field is too large");
        return false;
    }
    return true;
}

static bool lay_out(tg_elab *e, const tg_decl *d, tg_record *r) {
    r->fields = TG_NEW_ARRAY(e->a, tg_record_field, d->u.record.n + 1);
    int64_t at = 0, n;
    for (int i = 0; i < d->u.record.n; i++) {
        const tg_field *src = &d->u.record.fields[i];
        if (src->kind == TG_FIELD_DATA) {
            tg_record_field *f = &r->fields[r->n_fields];
            *f = (tg_record_field){.name = src->name.name, .offset_bytes = at};
            if (tg_el_record_field(r, f->name) != NULL) {
                tg_el_error(e, TG_D_RECORD, src->span, "field `%s` is there twice", f->name);
                return false;
            }
            if (!field_type(e, src, f)) {
                return false;
            }
            r->n_fields++;
            at += f->bytes;
        } else {
            if (!tg_el_const_int(e, src->amount, "an amount of bytes", &n)) {
                return false;
            }
            if (n < (src->kind == TG_FIELD_ALIGN ? 1 : 0) || n > MAX_RECORD_BYTES) {
                tg_el_error(e, TG_D_RECORD, src->span, "%lld bytes", (long long)n);
                return false;
            }
            at = src->kind == TG_FIELD_PAD ? at + n : tg_round_up_i64(at, n);
        }
        if (at > MAX_RECORD_BYTES) {
            tg_el_error(e, TG_D_RECORD, src->span, "this record is too large");
            return false;
        }
    }
    r->bytes = at;
    if (at == 0) {
        tg_el_error(e, TG_D_RECORD, d->head, "record `%s` has no bytes", d->name.name);
    }
    return at > 0;
}

static const tg_record *known(tg_elab *e, const tg_decl *d, const int64_t *args, int n) {
    for (size_t i = 0; i < e->records.count; i++) {
        const tg_record *r = e->records.data[i];
        if (r->decl == d && r->n_args == n &&
            memcmp(r->args, args, sizeof(int64_t) * (size_t)n) == 0) {
            return r;
        }
    }
    return NULL;
}

const tg_record *tg_el_record(tg_elab *e, const tg_decl *d, const tg_expr_list *args,
                              tg_span where) {
    const tg_ct_params *ct = &d->u.record.ct;
    if (d->broken || e->fn_depth > 32) {
        if (!d->broken) {
            tg_el_error(e, TG_D_RECORD, where, "record `%s` contains itself", d->name.name);
        }
        return NULL;
    }
    if (args->n > ct->n) {
        tg_diag *g = tg_el_error(e, TG_D_RECORD, where, "record `%s` takes %d parameters",
                                 d->name.name, ct->n);
        tg_note_add(e->sink, g, d->head, "declared here");
        return NULL;
    }
    int64_t *vals = TG_NEW_ARRAY(e->a, int64_t, ct->n + 1);
    for (int i = 0; i < args->n; i++) {
        if (!tg_el_const_int(e, args->items[i], "a parameter of a record", &vals[i])) {
            return NULL;
        }
    }
    tg_scope *scope = e->scope;
    const tg_file *file = e->file;
    e->scope = NULL;
    tg_el_push(e);
    e->file = d->file;
    e->fn_depth++;
    bool ok = true;
    for (int i = 0; i < ct->n && ok; i++) {
        if (i >= args->n) {
            ok = ct->items[i].def != NULL &&
                 tg_el_const_int(e, ct->items[i].def, "a parameter of a record", &vals[i]);
            if (ct->items[i].def == NULL) {
                tg_el_error(e, TG_D_RECORD, where, "record `%s` needs `%s`", d->name.name,
                            ct->items[i].name.name);
            }
        }
        tg_el_bind(e, ct->items[i].name.name, tg_el_int(e, vals[i], where), false,
                   ct->items[i].span);
    }
    const tg_record *found = ok ? known(e, d, vals, ct->n) : NULL;
    if (ok && found == NULL) {
        tg_record *r = TG_NEW(e->a, tg_record);
        r->decl = d;
        r->args = vals;
        r->n_args = ct->n;
        if (lay_out(e, d, r)) {
            TG_LIST_PUSH(e->a, &e->records, r);
            found = r;
        }
    }
    e->scope = scope;
    e->file = file;
    e->fn_depth--;
    return found;
}
