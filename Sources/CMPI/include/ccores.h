// What the affinity mask of this process leaves it; sched.h's CPU_COUNT is a macro.
#pragma once

int lf_usable_cores(void);
