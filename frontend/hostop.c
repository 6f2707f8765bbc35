/* SPDX-License-Identifier: Apache-2.0 */
/* placeholder replaced below */
#include "frontend/value.h"
tg_status tg_elab_hostop(tg_program *p, tg_decl *d, const tg_setting *settings, int n_settings,
                         const tg_target_query *target, tg_module *m) {
    (void)settings; (void)n_settings; (void)target; (void)m;
    tg_error(p->sink, TG_D_CHECK, d->head, "ops are not elaborated yet");
    return TG_E_UNSUPPORTED;
}
