/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the best, for the references of other families, too. */
#ifndef TG_KERNELS_SELECT_REF_H
#define TG_KERNELS_SELECT_REF_H

#include "kernels/reference.h"

enum { TGK_NOTHING = 2147483647 }; /* the index of a place that nothing was chosen for */

/* The best k of v[lo .. hi), ties to the smaller index, by ascending index to val and idx, whose
 * other places stay; names: the index of each element, or NULL. False: no memory. */
bool tgk_select_run(const double *v, const int64_t *names, int64_t lo, int64_t hi, int64_t k,
                    double *val, int64_t *idx);

#endif
