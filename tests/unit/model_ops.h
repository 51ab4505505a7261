/* Random operations on the model and on mm at once. */
#ifndef UNIT_MODEL_OPS_H
#define UNIT_MODEL_OPS_H

#include "tests/unit/model.h"

/* One random operation, on a random hart. */
void model_step(void);
/* The same with the n-th allocation failing, n = 1, 2, ... until the operation goes through; audits after each. How many
 * failures there were. */
unsigned model_step_oom(void);

#endif
