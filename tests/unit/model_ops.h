/* Random operations on the model and on mm at once. */
#ifndef UNIT_MODEL_OPS_H
#define UNIT_MODEL_OPS_H

#include "tests/unit/model.h"

/*
 * One random operation, on a random hart. may_fail: allocations may be failing, so -ENOMEM, where the call may give it,
 * is accepted if the failure was hit, and must have changed nothing (or, where the contract says so, a first part).
 */
void model_step(void);
/* The same with the n-th allocation failing, n = 1, 2, ... until the operation goes through; audits after each. */
void model_step_oom(void);

#endif
