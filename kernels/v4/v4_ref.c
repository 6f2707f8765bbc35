/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of the V4 family. Entries are within 1e-5 of an f32 result (attention.md section 9)
 * and one unit of the output type; what the state holds is one rounded sum.
 */
#include "kernels/v4/v4_refs.h"

#define ENTRY {"y", TGK_TOL_ULP, 1, 1e-5}
#define LATENT {"latent", TGK_TOL_ULP, 1, 1e-5}
#define EXACT(name) {name, TGK_TOL_EXACT, 0, 0}
#define STATE EXACT("state")
#define NUMBER EXACT("entry")
#define GATE(name) {name, TGK_TOL_GATE, 0, 0}
#define GATED GATE("o")
/* Sums of at most 300 products of deviation 1: 300 * 2^-24 * sum |x w| / 300^.5 is at most 3e-4,
 * met with both signs; ten standard deviations are 1e-5. */
#define SUM(name) {name, TGK_TOL_ULP, 1, 1e-5}
/* attention.md section 9: 1e-6 in f32; bf16 cases ask for the gate. */
#define LAYER {"y", TGK_TOL_ULP, 1, 1e-6}
/* attention.md K10: stored bytes at most one step off, on less than a thousandth. */
#define BYTES(name) {name, TGK_TOL_STEPS, 1e-3, 0}
#define PAST SUM("ring"), SUM("state"), SUM("cache")
const tgk_reference tgk_v4_references[] = {
    {"compress_plain", tgv_compress_plain, tgv_inputs_compress, false, {ENTRY}},
    {"compress_overlap", tgv_compress_overlap, tgv_inputs_compress, false, {ENTRY}},
    {"compress_latent", tgv_compress_plain, tgv_inputs_compress, false, {LATENT, ENTRY}},
    {"compress_plain_packed", tgv_compress_plain, tgv_inputs_compress, false, {ENTRY}},
    {"compress_overlap_packed", tgv_compress_overlap, tgv_inputs_compress, false, {ENTRY}},
    {"compress_latent_packed", tgv_compress_plain, tgv_inputs_compress, false, {LATENT, ENTRY}},
    {"compress_plain_step", tgv_compress_step, tgv_inputs_step, false, {STATE, ENTRY, NUMBER}},
    {"compress_overlap_step", tgv_compress_step, tgv_inputs_step, false, {STATE, ENTRY, NUMBER}},
    {"compress_latent_step",
     tgv_compress_step,
     tgv_inputs_step,
     false,
     {STATE, LATENT, ENTRY, NUMBER}},
    {"compress_plain_state", tgv_compress_state, tgv_inputs_state, false, {STATE}},
    {"compress_overlap_state", tgv_compress_state, tgv_inputs_state, false, {STATE}},
    {"v4_project", tgv_project, tgv_inputs_layer, false, {SUM("y")}},
    {"v4_latent", tgv_latent, tgv_inputs_layer, false, {SUM("y")}},
    {"v4_heads", tgv_heads, tgv_inputs_layer, false, {SUM("q")}},
    {"v4_scores", tgv_scores, tgv_inputs_layer, false, {SUM("s"), EXACT("end")}},
    {"v4_attend_all", tgv_attend_all, tgv_inputs_layer, false, {GATED}},
    {"v4_attend_some", tgv_attend_some, tgv_inputs_attend_some, false, {GATED}},
    {"v4_group_out", tgv_group_out, tgv_inputs_layer, false, {SUM("z")}},
    {"v4_out", tgv_out, tgv_inputs_layer, false, {SUM("y")}},
    {"v4_layer_swa", tgv_layer_swa, tgv_inputs_layer, false, {LAYER}},
    {"v4_layer_hca", tgv_layer_hca, tgv_inputs_layer, false, {LAYER}},
    {"v4_layer_csa", tgv_layer_csa, tgv_inputs_csa, false, {LAYER}},
    {"v4_store_window", tgv_store_window, tgv_inputs_running, false, {EXACT("ring")}},
    {"v4_store_entries", tgv_store_entries, tgv_inputs_running, false, {EXACT("cache")}},
    {"v4_scores_paged", tgv_scores_paged, tgv_inputs_running, false, {SUM("s"), EXACT("end")}},
    {"v4_attend_window_step", tgv_attend_step, tgv_inputs_running, false, {GATED}},
    {"v4_attend_all_step", tgv_attend_step, tgv_inputs_running, false, {GATED}},
    {"v4_attend_some_step", tgv_attend_step, tgv_inputs_running, false, {GATED}},
    {"v4_step_swa", tgv_step, tgv_inputs_running, false, {LAYER, SUM("ring")}},
    {"v4_step_hca", tgv_step, tgv_inputs_running, false, {LAYER, PAST}},
    {"v4_step_csa",
     tgv_step,
     tgv_inputs_running,
     false,
     {LAYER, PAST, SUM("istate"), SUM("icache")}},
    {"v4_store_window_bytes", tgv_store_window, tgv_inputs_running, false, {EXACT("ring")}},
    {"v4_store_entries_bytes", tgv_store_entries, tgv_inputs_running, false, {EXACT("cache")}},
    {"v4_store_keys_bytes", tgv_store_entries, tgv_inputs_running, false, {EXACT("cache")}},
    {"v4_scores_bytes", tgv_scores_paged, tgv_inputs_running, false, {SUM("s"), EXACT("end")}},
    {"v4_attend_window_bytes", tgv_attend_step, tgv_inputs_running, false, {GATED}},
    {"v4_attend_all_bytes", tgv_attend_step, tgv_inputs_running, false, {GATED}},
    {"v4_attend_some_bytes", tgv_attend_step, tgv_inputs_running, false, {GATED}},
    {"v4_bytes_swa", tgv_step, tgv_inputs_running, false, {GATE("y"), BYTES("ring")}},
    {"v4_bytes_hca",
     tgv_step,
     tgv_inputs_running,
     false,
     {GATE("y"), BYTES("ring"), SUM("state"), BYTES("cache")}},
    {"v4_bytes_csa",
     tgv_step,
     tgv_inputs_running,
     false,
     {GATE("y"), BYTES("ring"), SUM("state"), BYTES("cache"), SUM("istate"), BYTES("icache")}},
    {.kernel = NULL}};
