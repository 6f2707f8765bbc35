/* SPDX-License-Identifier: Apache-2.0 */
/* The sub-commands, one file each. */
#ifndef TG_TOOL_COMMANDS_H
#define TG_TOOL_COMMANDS_H

#include "tools/tool.h"

#define TOOL_COMMAND(name, summary, usage) int cmd_##name(tool *t, int argc, char **argv);
#include "tools/commands.def"
#undef TOOL_COMMAND

#endif
