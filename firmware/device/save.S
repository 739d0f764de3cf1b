/* Prologues and epilogues that functions share (-msave-restore), to keep the firmware small.
 *
 * __riscv_save_N keeps ra and s0 to s(N - 1) on the stack and returns to t0; __riscv_restore_N takes
 * them back and returns to ra. Frames have the sizes that the compiler counts on for N = 3, 7, 12.
 */
  .section .text.save
  .globl __riscv_save_0, __riscv_save_1, __riscv_save_2, __riscv_save_3
  .globl __riscv_save_4, __riscv_save_5, __riscv_save_6, __riscv_save_7
  .globl __riscv_save_8, __riscv_save_9, __riscv_save_10, __riscv_save_11, __riscv_save_12
  .globl __riscv_restore_0, __riscv_restore_1, __riscv_restore_2, __riscv_restore_3
  .globl __riscv_restore_4, __riscv_restore_5, __riscv_restore_6, __riscv_restore_7
  .globl __riscv_restore_8, __riscv_restore_9, __riscv_restore_10, __riscv_restore_11
  .globl __riscv_restore_12

__riscv_save_12:
__riscv_save_11:
__riscv_save_10:
__riscv_save_9:
__riscv_save_8:
  addi sp, sp, -32
  sw s11, 16(sp)
  sw s10, 12(sp)
  sw s9, 8(sp)
  sw s8, 4(sp)
  sw s7, 0(sp)
__riscv_save_7:
__riscv_save_6:
__riscv_save_5:
__riscv_save_4:
  addi sp, sp, -32
  sw s6, 0(sp)
  sw s5, 4(sp)
  sw s4, 8(sp)
  sw s3, 12(sp)
  sw s2, 16(sp)
  sw s1, 20(sp)
  sw s0, 24(sp)
  sw ra, 28(sp)
  jr t0

__riscv_save_3:
__riscv_save_2:
__riscv_save_1:
__riscv_save_0:
  addi sp, sp, -16
  sw s2, 0(sp)
  sw s1, 4(sp)
  sw s0, 8(sp)
  sw ra, 12(sp)
  jr t0

__riscv_restore_12:
__riscv_restore_11:
__riscv_restore_10:
__riscv_restore_9:
__riscv_restore_8:
  lw s7, 32(sp)
  lw s8, 36(sp)
  lw s9, 40(sp)
  lw s10, 44(sp)
  lw s11, 48(sp)
  li t1, 64
  j 1f
__riscv_restore_7:
__riscv_restore_6:
__riscv_restore_5:
__riscv_restore_4:
  li t1, 32
1:
  lw s6, 0(sp)
  lw s5, 4(sp)
  lw s4, 8(sp)
  lw s3, 12(sp)
  lw s2, 16(sp)
  lw s1, 20(sp)
  lw s0, 24(sp)
  lw ra, 28(sp)
  add sp, sp, t1
  ret

__riscv_restore_3:
__riscv_restore_2:
__riscv_restore_1:
__riscv_restore_0:
  lw s2, 0(sp)
  lw s1, 4(sp)
  lw s0, 8(sp)
  lw ra, 12(sp)
  addi sp, sp, 16
  ret
