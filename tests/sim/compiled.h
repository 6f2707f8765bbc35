/* SPDX-License-Identifier: Apache-2.0 */
/* Plug-ins whose modules are C++: a compiler of the system turns it into what a simulator loads. */
#ifndef TG_TESTS_SIM_COMPILED_H
#define TG_TESTS_SIM_COMPILED_H

#include <tegula/sim_ptx.h>

/* The command's arguments "IN" and "OUT" become paths of files of their own, which go in the end.
 */
typedef struct compiled_by {
    const char *in, *out; /* endings of the files' names: ".hip", ".hsaco" */
    const char *const *command;
    const sim_ptx_interface *simulator;
} compiled_by;

sim_status compiled_load(const compiled_by *by, sim_machine *m, const char *text, size_t n,
                         sim_module **out, char message[256]);
/* Launches with zeros behind the five words of a kernel of ours, as hidden arguments may stand
 * there. */
sim_status compiled_launch(const sim_ptx_interface *simulator, sim_machine *m, const sim_kernel *k,
                           const sim_launch_options *o, const void *params, sim_report *report);

#endif
