/* Attributes of vendors, named by what they are for. The host says which target it builds for.
 *
 * TASK          a kernel of one work item, whose loops become pipelines
 * SHARES        a kernel in which every work item takes an equal share of the rows
 * PIPELINE      before a loop: start an iteration every clock cycle
 * REGISTERS     of a small array: keep it in registers, all of it reachable in one cycle
 */
#if defined(__xilinx__)
#define TASK __attribute__((reqd_work_group_size(1, 1, 1)))
#define PIPELINE __attribute__((xcl_pipeline_loop(1)))
#define REGISTERS __attribute__((xcl_array_partition(complete, 1)))
#elif defined(TARGET_FPGA)
#define TASK __attribute__((max_global_work_dim(0))) __attribute__((uses_global_work_offset(0)))
#define PIPELINE
#define REGISTERS __attribute__((register))
#else
#define TASK __attribute__((reqd_work_group_size(1, 1, 1)))
#define PIPELINE
#define REGISTERS
#endif
#define SHARES __attribute__((reqd_work_group_size(1, 1, 1)))
